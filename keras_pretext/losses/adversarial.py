"""The adversarial game (Goodfellow et al., NIPS 2014), from logits, averaged over the batch."""

from keras import ops


def discriminator_loss(real, fake):
    """`-log D(x) - log(1 - D(G))` of logits `(batch, 1)`; 2 log 2 where D cannot tell."""
    return ops.mean(ops.softplus(-_float(real))) + ops.mean(ops.softplus(_float(fake)))


def generator_loss(fake):
    """`-log D(G)`: not `log(1 - D(G))`, whose gradient vanishes where D is sure."""
    return ops.mean(ops.softplus(-_float(fake)))


def discriminator_accuracy(real, fake):
    """The share of real and generated regions that are taken for what they are."""
    right = ops.mean(ops.cast(real > 0, "float32")) + ops.mean(ops.cast(fake <= 0, "float32"))
    return right / 2.0


def _float(logits):
    return ops.cast(logits, "float32")
