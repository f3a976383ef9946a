"""A table of a forecast."""

from tabulate import tabulate

print(tabulate([["Monday", 21], ["Tuesday", 19]], headers=["day", "degrees"]))
