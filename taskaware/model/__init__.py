"""The Transformer: frontends, blocks and the whole."""
