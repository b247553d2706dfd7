"""The commands of ``taskaware``; nothing heavy is imported before it is needed.

Reading order: table ← corpora ← training ← results ← models ← dispatch.
"""
