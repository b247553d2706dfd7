"""Spoken digits, implicit: placeholder."""

from dataclasses import replace

from base import base

experiment = replace(base, model=replace(base.model, conditioning="implicit"))
