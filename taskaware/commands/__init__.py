"""What each command of ``taskaware`` does; nothing heavy is imported before it is needed.

Reading order: corpora ← training ← results ← models ← dispatch.
"""
