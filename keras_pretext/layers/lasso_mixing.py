"""A sparse mixture of a trunk's units (Doersch and Zisserman, ICCV 2017, section 3.2)."""

import keras
from keras import ops

from keras_pretext.layers.batch_normalization import BatchNormalization


@keras.saving.register_keras_serializable(package="keras_pretext")
class UnitL1(keras.regularizers.Regularizer):
    """`penalty` times the sum of |w| of the weights at length 1: 1 for one, sqrt(n) for all n."""

    def __init__(self, penalty=0.0):
        self.penalty = penalty

    def __call__(self, weights):
        return self.penalty * ops.sum(ops.abs(unit_length(weights)))

    def get_config(self):
        return {"penalty": self.penalty}


def unit_length(weights):
    """Weights `(n,)` over their Euclidean length, float32."""
    weights = ops.cast(weights, "float32")
    return weights * ops.rsqrt(ops.maximum(ops.sum(weights * weights), 1e-12))


@keras.saving.register_keras_serializable(package="keras_pretext")
class LassoMixing(keras.layers.Layer):
    """A list of n arrays of one shape, channels last, to their weighted sum.

    Each array is first normalised to mean 0 and deviation 1 in each channel of a batch, and the
    weights to length 1: the L1 penalty on them can then be met by sparse weights only, not by small
    ones and large features. All begin equal. (The paper says that they are penalised and softly
    normalised; the exact form could not be confirmed.)

    Args:
        penalty: of the weights' L1 norm; the paper's lambda.

    Attributes:
        weights_of_units: the variable `(n,)`, before normalisation.
    """

    def __init__(self, penalty=0.0, **kwargs):
        super().__init__(**kwargs)
        if not penalty >= 0:
            raise ValueError(f"the lasso's penalty is 0 or positive. Received: {penalty!r}")
        self.penalty = penalty

    def build(self, input_shapes):
        self.weights_of_units = self.add_weight(
            name="weights_of_units", shape=(len(input_shapes),), initializer="ones",
            dtype="float32", regularizer=UnitL1(self.penalty))
        self.norms = [BatchNormalization(center=False, scale=False, dtype=self.dtype_policy,
                                         name=f"norm{k}") for k in range(len(input_shapes))]
        for norm, shape in zip(self.norms, input_shapes, strict=True):
            norm.build(shape)
        self.built = True

    def call(self, inputs, training=None):
        shares = ops.cast(unit_length(self.weights_of_units), self.compute_dtype)
        total = 0.0
        for k, (norm, x) in enumerate(zip(self.norms, inputs, strict=True)):
            total = total + shares[k] * norm(x, training=training)
        return total

    def compute_output_shape(self, input_shapes):
        return input_shapes[0]

    def units_in_use(self):
        """The square of the weights' L1 norm at length 1: 1 for one unit, n for n equal ones."""
        return ops.square(ops.sum(ops.abs(unit_length(self.weights_of_units))))

    def get_config(self):
        return {**super().get_config(), "penalty": self.penalty}
