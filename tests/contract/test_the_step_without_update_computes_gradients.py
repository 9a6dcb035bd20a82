"""TensorFlow drops results that nobody reads; the step without its update must still run its backward pass."""

import forked

from conftest import needs
from stepmark import catalog

# The gradients hold a division by zero, which fails where the pass is run and is dropped where it is not.
CODE = """
import os
from stepmark import catalog
from stepmark.engines._protocol import RankContext
from stepmark.workloads import _batches
module = catalog.load_engine("keras-tensorflow")
module.import_framework()
import tensorflow as tf

class Poisoned(module.Engine):
    def _forward_backward(self, inputs, labels):
        loss, (first, *rest) = super()._forward_backward(inputs, labels)
        zero = tf.cast(tf.math.is_nan(tf.reduce_sum(first)), tf.int32)
        return loss, [first + tf.cast(1 // zero, first.dtype), *rest]

engine = Poisoned(RankContext(0, 1, "single", None, "graph", "float32", (), 1, 7, 7, 0, 60))
engine.join_group()
workload = catalog.load_workload("mlp")
params = workload.parse({})
engine.build(workload, params, _batches.global_batches(workload.input(params), "synthetic", 7, 8, 2), 0.0625)
try:
    engine.parts()["step_without_update"](0)
    engine.synchronize()
except tf.errors.InvalidArgumentError as error:
    assert "division by zero" in str(error), error
    print("computed")
"""


def test_the_backward_pass_runs_in_the_step_without_update() -> None:
    support = catalog.load_engine("keras-tensorflow").SUPPORT
    needs(*support.requires)
    done = forked.run("keras-tensorflow", CODE)
    assert done.stdout.splitlines()[-1:] == ["computed"], done.stderr[-3000:]
