"""From corpora on disk to arrays: features, tokens, prepared corpora. Never imports jax."""
