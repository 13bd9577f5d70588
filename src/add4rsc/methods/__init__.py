"""Published methods and their recipes; one file a method."""

from collections.abc import Callable

from add4rsc.methods._base import AbstractMethod
from add4rsc.recipe import Recipe
from add4rsc.registry import Registry

methods: Registry[type[AbstractMethod]] = Registry("method", __name__)
recipes: Registry[Callable[[], Recipe]] = Registry("recipe", __name__)
