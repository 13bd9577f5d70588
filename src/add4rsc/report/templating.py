"""Templates, filled by jinja2."""

from pathlib import Path
from typing import Any

from add4rsc.errors import MissingExtraError

TEMPLATES = Path(__file__).parent / "templates"


def fill_template(name: str, values: dict[str, Any]) -> str:
    """A file of the folder `templates` with its places filled; in HTML, text is escaped.

    Raises:
        MissingExtraError: if jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError("Writing pages and model cards", "train") from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(("html",)),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name).render(values)
