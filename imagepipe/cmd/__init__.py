"""Entry points: one module per command, each with a main(argv) that returns an exit code.

They read the configuration, build what they need, and run it. No rules of images or
imports in here; only this package prints.
"""
