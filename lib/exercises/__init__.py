"""Exercises that check themselves.

A lesson needs only `from lib.exercises import exercise, hint, solution`. `engine` runs
the exercises, `checks` says what is wrong with an answer, and every other file here
holds the exercises of one chapter, or of a part of it.
"""

from lib.exercises.engine import exercise, exercises, hint, progress, solution

__all__ = ["exercise", "exercises", "hint", "progress", "solution"]
