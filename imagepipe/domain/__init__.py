"""The rules of the field as values: images, imports, transfers, events.

Frozen dataclasses and tables of rules. No I/O, no configuration, no clock:
whatever depends on them is given as an argument. A change is a new value.
"""
