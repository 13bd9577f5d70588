"""Make the model that the package carries, and its card, from the finished seeds of a run: they become one network.

Usage: python results/make_default_model.py RUN DATA_FOLDER OTHER_TEST HEARD

OTHER_TEST is what `add4rsc test RUN --data-folder OTHER --ensemble` wrote: the test subset of the second corpus of the
training. HEARD is the table of scores under noise of the ensemble, `robustness/ensemble/robustness.csv` of its results.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from add4rsc.export.exporting import ExportReport, ExportSettings, export_run
from add4rsc.storage import write_text
from add4rsc.terms import RESEARCH_USE_ONLY

HEARD = "results/sprsound2022/cycle-4/inter/fine_tuning-mn04-joint/robustness/ensemble/robustness.csv"
MODELS = Path(__file__).resolve().parents[1] / "src" / "add4rsc" / "models"

LIMITS = """\
- SPRSound is of children, one stethoscope, 8 kHz; of ICBHI 2017 it has heard a quarter. Phones, rooms and annotators of
  other kinds are outside of what it was tested on; how it fares on ICBHI's stethoscopes stands above.
- It was tested on annotated events and cycles, 3 s of each at most. A recording without annotation is first divided
  into breaths, which has its own errors (`docs/segmenter.md`).
- Noise costs it less than a network trained without, and still much (`docs/robustness.md`). Validation patients could
  not tell whether it should have the ADD layer's filters; the first test under noise did, so that its figures are of a
  test that has chosen between two.
- Its words mean "sounds like": crackle (fine or coarse), wheeze (also rhonchi and stridor), both. None is a diagnosis.
- The same validation patients chose the epoch and calibrated the probabilities, so that these may be a little too sure;
  those of SPRSound alone calibrated them.
- Poor recordings (speech, crying, friction, clipping) are given a class like all others. Look at their flags first."""


def card(report: ExportReport, run: dict[str, Any], other: dict[str, Any], heard: pd.DataFrame) -> str:
    """The model card in Markdown."""
    description, notes = report.description, report.description.notes
    lines = [
        "# The model in the box",
        "",
        f"**{RESEARCH_USE_ONLY}**",
        "",
        f"`default.onnx`, {report.n_bytes / 1e6:.1f} MB: a front-end and {notes['members']} networks of the recipe "
        f"`{description.name}` ({run['n_parameters']:,} parameters each), whose probabilities are averaged. It takes "
        f"{description.crop.duration:g} s of sound at {description.sample_rate} Hz and gives "
        f"{len(description.classes)} logits: {', '.join(description.classes)}. It has no ADD layer: "
        "with the layer's filters the same networks were worse under noise (`docs/denoising.md`).",
        "",
        "## Training",
        "",
        f"Corpus `{notes['dataset']}` (SPRSound 2022, Zhang et al., IEEE TBioCAS 16:867, CC BY 4.0), joined by the "
        "training patients of a quarter of ICBHI 2017 (Rocha et al., Physiol. Meas. 40:035001), task "
        f"`{notes['task']}`, split `{notes['split']}`: no patient is in two subsets. Seeds {notes['seed']}, epochs "
        f"{notes['epoch']} ({notes['selection']}), commit `{notes['commit']}`. Start from EfficientAT's mn04 "
        "(AudioSet, MIT licence).",
        "",
        "| subset | events | patients | " + " | ".join(description.classes) + " |",
        "|" + "---|" * (3 + len(description.classes)),
    ]
    for subset, counts in run["split"]["subsets"].items():
        per_class = " | ".join(str(counts["cycles_per_class"][name]) for name in description.classes)
        lines.append(f"| {subset} | {counts['n_cycles']} | {counts['n_patients']} | {per_class} |")
    lines += ["", "## Test", "", "| | value (95 % interval from a bootstrap over patients) |", "|---|---|"]
    for name in ("specificity", "sensitivity", "score", "score_binary"):
        value, _, interval = notes[f"test_{name}"].partition(" (95 % interval over patients ")
        lines.append(f"| {name.replace('_', ', ')} | {value} ({interval} |")
    lines += [
        "",
        f"{notes['test_n_cycles']} events of {notes['test_n_patients']} patients. "
        'Always answering "normal" scores 0.5.',
        "",
        *other_test(other),
        "",
        *under_noise(heard),
        "",
        "## Probabilities",
        "",
        f"{notes['calibration'].capitalize()}. Temperature {description.temperature:.3f}. "
        "A class is decided from these probabilities on: "
        + ", ".join(f"{name} {value:.2f}" for name, value in description.thresholds.items())
        + "; below, its decisions were wrong more often than right.",
        "",
        "## Limits",
        "",
        LIMITS,
        "",
        "## Making it again",
        "",
        "```sh",
        "python results/experiments.py --sprsound SPRSOUND --icbhi ICBHI --only joint/plain --out RUNS",
        "add4rsc robustness RUNS/joint/plain --data-folder SPRSOUND --noise-folder NOISE --corruptions recorded "
        "--snr 20,10,0,-5 --noise-seeds 1 --noise-band recording -o HEARD/joint/plain",
        "python results/collect_experiments.py RUNS --sprsound SPRSOUND --icbhi ICBHI --robustness HEARD",
        "add4rsc test RUNS/joint/plain --data-folder ICBHI --ensemble -o OTHER",
        f"python results/make_default_model.py RUNS/joint/plain SPRSOUND OTHER {HEARD}",
        "```",
        "",
        f"Exported logits differ from the networks' by at most {report.largest_difference:.0e} of the largest, over "
        f"{report.n_checked} test events.",
    ]
    return "\n".join(lines) + "\n"


def other_test(result: dict[str, Any]) -> list[str]:
    """What the network does on the second corpus, in all and by stethoscope."""
    lines = [
        f"On the test subset of `{result['split']}`"
        + ("" if result["is_official"] else ", of which a part is at hand: not to be set beside published scores")
        + ":",
        "",
        "| | cycles | patients | specificity | sensitivity | score |",
        "|---|---|---|---|---|---|",
    ]
    groups = {"all": result, **result["per_stethoscope"]}
    for name, group in groups.items():
        values = (group[key] for key in ("specificity", "sensitivity", "score"))
        cells = ("-" if value is None else f"{value:.4f}" for value in values)
        lines.append(f"| {name} | {group['n_cycles']} | {group['n_patients']} | {' | '.join(cells)} |")
    return lines


def under_noise(heard: pd.DataFrame) -> list[str]:
    """The Score without noise, and under recorded noise by its class."""
    clean = heard.loc[heard["corruption"] == "clean", "score"].item()
    table = heard[heard["corruption"] == "recorded"].pivot_table(index="noise_class", columns="level", values="score")
    levels = sorted(table.columns, reverse=True)
    lines = [
        "Score on the first test among recorded noise that no training has heard:",
        "",
        "| noise | without | " + " | ".join(f"{level:g} dB" for level in levels) + " |",
        "|" + "---|" * (len(levels) + 2),
    ]
    rows = {str(name): row for name, row in table.iterrows()} | {"mean": table.mean()}
    for name, row in rows.items():
        cells = (f"{row[level]:.4f}" for level in levels)
        lines.append(f"| {name.replace('_', ' ')} | {clean:.4f} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Export, and write the card beside the model."""
    run_folder, data_folder, other, heard = map(Path, sys.argv[1:])
    report = export_run(run_folder, MODELS / "default.onnx", ExportSettings(data_folder, ensemble=True))
    run = json.loads((run_folder / "seed-1" / "run.json").read_text())
    tested = json.loads((other / "summary.json").read_text())
    write_text(MODELS / "default.md", card(report, run, tested, pd.read_csv(heard)))


if __name__ == "__main__":
    main()
