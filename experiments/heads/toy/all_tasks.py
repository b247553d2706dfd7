"""All tasks of the embedded corpus in one model, explicit."""

from dataclasses import replace

from base import base

experiment = replace(base, model=replace(base.model, conditioning="explicit"))
