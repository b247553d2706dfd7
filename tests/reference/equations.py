"""The paper's equations 1-7 as NumPy loops, one position at a time: slow, and easy to believe."""

import numpy as np


def dense(x, layer):
    """Return x · kernel + bias of a layer's parameters."""
    return x @ layer["kernel"] + layer["bias"]


def layer_norm(x, layer, epsilon=1e-6):
    """Normalize one vector."""
    centered = x - x.mean()
    return centered / np.sqrt((centered**2).mean() + epsilon) * layer["scale"] + layer["bias"]


def softmax(score):
    """Return weights of a list of scores."""
    weight = np.exp(np.asarray(score) - np.max(score))
    return weight / weight.sum()


def attention(x, memory, num_heads, layer, sees):
    """Multi-head attention of the rows of x over those rows of memory that ``sees`` names."""
    width = x.shape[1] // num_heads
    query, key, value = (
        dense(s, layer[n]) for s, n in ((x, "query"), (memory, "key"), (memory, "value"))
    )
    out = np.zeros_like(x)
    for t in range(len(x)):
        seen = [s for s in range(len(memory)) if sees(t, s)]
        for head in range(num_heads):
            part = slice(head * width, (head + 1) * width)
            weight = softmax([query[t, part] @ key[s, part] / np.sqrt(width) for s in seen])
            out[t, part] = sum(w * value[s, part] for w, s in zip(weight, seen, strict=True))
    return dense(out, layer["out"])


def feed_forward(x, layer):
    """max(0, x W + b) V + c."""
    return dense(np.maximum(dense(x, layer["up"]), 0), layer["down"])


def causal_block(x, num_heads, block):
    """A post-norm block whose position i sees positions up to i (TE of eq. 2)."""
    attended = attention(x, x, num_heads, block["attention"], lambda t, s: s <= t)
    x = np.stack([layer_norm(row, block["attention_norm"]) for row in x + attended])
    transformed = feed_forward(x, block["feed_forward"])
    return np.stack([layer_norm(row, block["feed_forward_norm"]) for row in x + transformed])


def bidirectional_attention(x, y):
    """Eq. 3: each source position's mixture of targets, each target position's of sources."""
    x_at = np.stack(
        [sum(w * v for w, v in zip(softmax([q @ k for k in y]), y, strict=True)) for q in x]
    )
    y_as = np.stack(
        [sum(w * v for w, v in zip(softmax([q @ k for k in x]), x, strict=True)) for q in y]
    )
    return x_at, y_as


def explicit_tcn(one_hot, kernel):
    """Eq. 1: t_e = FFN(e)."""
    return np.array(
        [
            sum(one_hot[s] * kernel[s, z] for s in range(len(one_hot)))
            for z in range(kernel.shape[1])
        ]
    )


def implicit_tcn(x, y, num_heads, tcn):
    """Eq. 2-5 for one example without padding."""
    if "project" in tcn:
        x, y = dense(x, tcn["project"]), dense(y, tcn["project"])
    for block in tcn["represent"]:
        x, y = causal_block(x, num_heads, block), causal_block(y, num_heads, block)
    x, y = bidirectional_attention(x, y)
    for block in tcn["summarize"]:
        x, y = causal_block(x, num_heads, block), causal_block(y, num_heads, block)
    return dense(np.concatenate([x[-1], y[-1]]), tcn["head"])


def film(x, gamma, beta):
    """Eq. 7: γ · f(v) + β, feature by feature."""
    return np.array([[gamma[d] * row[d] + beta[d] for d in range(len(row))] for row in x])
