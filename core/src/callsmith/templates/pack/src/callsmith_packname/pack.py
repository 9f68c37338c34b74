"""The functions that belong to the pack."""

from callsmith import FunctionPack

from callsmith_packname import functions

pack = FunctionPack("The functions packname.", [functions.price, functions.total])
