"""Define the classes that a user's own model is made from: one framework with a builder, or a pair with two.

Parameters and operations need no formula: they are counted in the process that trains (launch/own_model.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from stepmark.errors import ModelRefused
from stepmark.strict import StrictModel
from stepmark.workloads import _inspect, _keras, _pairing
from stepmark.workloads._norms import Norms, decided_weights, of_keras, of_torch
from stepmark.workloads._protocol import InputSpec, Workload
from stepmark.workloads._weights import Array, initial

_BUILDERS = ("build", "build_torch", "build_keras")


class NoParams(StrictModel):
    """Allow no parameters."""


class _Own(Workload):
    """Define what all own models share. A subclass sets `sample`, or overrides `input` where params decide on it."""

    params_model: ClassVar[type[StrictModel]] = NoParams
    """The class of `params`: the one that a builder's argument is annotated with."""
    sample: ClassVar[InputSpec | None] = None
    """One sample of the model: an `InputSpec`, made by hand or by `InputSpec.of` an example."""
    inspected = True
    _norms = Norms()
    _channels_last: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for builder in (cls.__dict__[name] for name in _BUILDERS if name in cls.__dict__):
            annotated = builder.__annotations__.get("params")
            if isinstance(annotated, str):
                annotated = builder.__globals__.get(annotated)
            if isinstance(annotated, type) and issubclass(annotated, StrictModel):
                cls.params_model = annotated

    def initial_weights(self, shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Array]:
        """Return weights that a model can be trained from; axes are as the model's framework has them."""
        return initial(shapes, seed, self._channels_last)

    def starting_weights(self, shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Array]:
        """Return the weights that a parity check starts from; they depend on the built model's norms."""
        return decided_weights(self.initial_weights(shapes, seed), self._norms, self._channels_last)

    def input(self, params: Any) -> InputSpec:
        if self.sample is None:
            raise ModelRefused(
                f"{type(self).__name__}: expected the class to describe one sample, found none. "
                "Set `sample = InputSpec(...)`, or override `input(params)`."
            )
        return self.sample

    def torch_outputs(self, model: Any, inputs: Any) -> Any:
        """Return the output, or what it holds as `logits`, as the outputs of transformers do."""
        outputs = model(inputs)
        return getattr(outputs, "logits", outputs)

    def parameter_count(self, params: Any) -> int | None:
        return None

    def flops_per_sample(self, params: Any) -> int | None:
        return None

    def _inspected(self, model: Any) -> Any:
        """Return the torch model, whose layers are looked at."""
        self._norms = of_torch(model)
        return _inspect.steady_torch(model)


class TorchModel(_Own):
    """Make a workload of a torch model. A subclass has `build`, and may have its own `torch_loss(outputs, labels)`.

    A loss of its own returns the mean over the samples that it is given.
    """

    def build(self, params: Any) -> Any:
        """Return an untrained `torch.nn.Module` that maps a batch of inputs to logits (batch, classes)."""
        raise NotImplementedError

    def torch_model(self, params: Any) -> Any:
        return self._inspected(self.build(params))


class KerasModel(_Own):
    """Make a workload of a Keras model, which runs on TensorFlow, torch and JAX, and in Keras 2 if that has its layers.

    A subclass has `build`, and may have its own `keras_loss(outputs, labels)`, written in `keras.ops`, which returns
    the mean over the samples that it is given. Weights are compared as Keras names them, so there is nothing to map.
    """

    _channels_last = True
    _root = ""

    def build(self, params: Any) -> Any:
        """Return an untrained Keras model that maps a batch of inputs to logits (batch, classes)."""
        raise NotImplementedError

    def keras_model(self, params: Any) -> Any:
        built = self.build(params)
        model = _keras.own_model(built, self.input(params))
        self._root = f"{built.name}/"
        self._norms = of_keras(model).renamed(lambda path: path.removeprefix(self._root))
        return model

    def _names(self, variables: Sequence[tuple[str, Any]]) -> list[str]:
        """Return the variables' paths, each once, without the model's own name, which only Keras 3 has in them."""
        return _pairing.unique([path.removeprefix(self._root) for path, _ in variables])

    def common_weights(self, variables: Sequence[tuple[str, Array]]) -> dict[str, Array]:
        names = self._names(variables)
        return {name: values.copy() for name, (_, values) in zip(names, variables, strict=True)}

    def keras_values(
        self, variables: Sequence[tuple[str, tuple[int, ...]]], weights: Mapping[str, Array]
    ) -> list[Array]:
        return [weights[name].copy() for name in self._names(variables)]


class ModelPair(_Own):
    """Make a workload of one model that is written in torch and in Keras.

    A subclass has `build_torch` and `build_keras`, and `names` where names do not say which weights belong together. It
    may have its own `torch_loss` and `keras_loss`, each of (outputs, labels), and both return a mean.
    """

    def build_torch(self, params: Any) -> Any:
        """Return an untrained `torch.nn.Module` that maps a batch of inputs to logits (batch, classes)."""
        raise NotImplementedError

    def build_keras(self, params: Any) -> Any:
        """Return the same model in Keras, untrained. Images come as (batch, height, width, channels)."""
        raise NotImplementedError

    def names(self, params: Any) -> Mapping[str, str | _pairing.Place]:
        """Return the torch module of each Keras layer, or the parameter of a variable, by their paths in Keras.

        A `Place` says more of a parameter: a part of it, or its shape. It may stand for a layer with one variable.
        A layer that is not named here has torch's name, with slashes or dashes for dots.
        """
        return {}

    def torch_model(self, params: Any) -> Any:
        return self._inspected(self.build_torch(params))

    def keras_model(self, params: Any) -> Any:
        built = self.build_keras(params)
        model = _keras.own_model(built, self.input(params))
        self._pairing = _pairing.Pairing(self.names(params), built.name, _keras.depthwise_kernels(model))
        self._norms = of_keras(model).renamed(lambda path: self._pairing.place(path).name)
        return model

    def common_weights(self, variables: Sequence[tuple[str, Array]]) -> dict[str, Array]:
        return self._pairing.common_weights(variables)

    def keras_values(
        self, variables: Sequence[tuple[str, tuple[int, ...]]], weights: Mapping[str, Array]
    ) -> list[Array]:
        return [self._pairing.keras_values(path, shape, weights) for path, shape in variables]
