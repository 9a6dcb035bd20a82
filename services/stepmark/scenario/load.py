"""Read a `Scenario` from a file or text. Only this module parses YAML, and it treats the text as hostile."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from stepmark import catalog
from stepmark.errors import CannotRun, ScenarioError, ScenarioErrors
from stepmark.scenario.data import Data
from stepmark.scenario.explain import explain
from stepmark.scenario.metadata import without_server_fields
from stepmark.scenario.model import Candidate, Scenario

if TYPE_CHECKING:
    from stepmark.workloads._protocol import InputSpec, Workload

MAX_BYTES = 256 * 1024
MAX_DEPTH = 16
MAX_VALUES = 5000  # Keys, values, lists and mappings count; the largest scenario of the grammar has about 1,500.


_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_READ_OTHERWISE = (_INT, _FLOAT, "tag:yaml.org,2002:timestamp")


class _Loader(yaml.SafeLoader):
    """A YAML loader for the safe subset, without duplicate keys, dates and base-60 numbers.

    Numbers are read as in JSON, and so as on a cluster.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, regexp) for tag, regexp in resolvers if tag not in _READ_OTHERWISE]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise ScenarioError(_where(key), "a plain text key", "another kind of key", "Write the key as text.")
            if key.value in seen:
                raise ScenarioError(_where(key), "each key once", f"{key.value!r} twice", "Delete one of them.")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(_INT, re.compile(r"[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?$|[-+]?\.inf$|\.nan$"),
    list("-+.0123456789"),
)


def _where(item: yaml.Node | yaml.Event) -> str:
    mark = item.start_mark
    return f"line {mark.line + 1}" if mark else "the document"


def _refuse_dangerous_yaml(text: str) -> None:
    """Refuse what could be dangerous or slow, from the event stream, before any object is built."""
    depth = documents = values = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        documents += isinstance(event, yaml.DocumentStartEvent)
        values += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        refused = _danger(event, documents, values, depth)
        if refused is not None:
            raise ScenarioError(_where(event), *refused)


def _danger(event: yaml.Event, documents: int, values: int, depth: int) -> tuple[str, str, str] | None:
    """Return what was expected, what was found and what to do, or None if the event may pass."""
    if documents > 1:
        return "one document", "a second one", "Put each scenario into a file of its own."
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        return "no YAML anchors or aliases", "one", "Write the value out where it is used."
    if (tag := getattr(event, "tag", None)) is not None:
        return "no YAML tags", repr(tag), "Delete the tag: the type of a value follows from how it is written."
    if depth > MAX_DEPTH:
        return f"at most {MAX_DEPTH} levels", "deeper nesting", "Nest the values less deeply."
    if values > MAX_VALUES:
        return f"at most {MAX_VALUES} keys and values", "more", "Shorten the scenario."
    return None


def _parse(text: str) -> object:
    try:
        _refuse_dangerous_yaml(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506  (a SafeLoader with less)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the document"
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ScenarioError(where, "YAML", problem, "Correct the syntax there.") from None
    except ScenarioError:
        raise
    except Exception as error:  # The parser raises many kinds of errors for numbers and escapes out of range.
        raise ScenarioError("the document", "values that YAML can hold", _said(error), "Correct the value.") from None


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def scenario_from_text(text: str) -> Scenario:
    """Parse and check a scenario.

    Raises:
        ScenarioErrors: everything that is wrong with it, each with path, expectation, finding and remedy.
    """
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_BYTES:
        raise ScenarioErrors([_too_large(size)])
    try:
        document = _parse(text)
    except ScenarioError as error:
        raise ScenarioErrors([error]) from None
    if not isinstance(document, dict):
        kind = type(document).__name__
        fix = "Start from scenarios/quickstart.yaml."
        raise ScenarioErrors(
            [ScenarioError("the document", "a mapping with apiVersion, kind, metadata, spec", kind, fix)]
        )
    return scenario_from_object(document)


def scenario_from_object(document: dict[str, Any]) -> Scenario:
    """Check a parsed document, or an object as the API server returns it.

    Raises:
        ScenarioErrors: everything that is wrong with it.
    """
    try:
        return _checked(document)
    except ValidationError as error:
        raise ScenarioErrors(explain(error, Scenario)) from None
    except ScenarioErrors:
        raise
    except Exception as error:  # One example is nesting that JSON cannot write.
        fix = "Start from scenarios/quickstart.yaml."
        raise ScenarioErrors([ScenarioError("the document", "a readable scenario", _said(error), fix)]) from None


def _checked(document: dict[str, Any]) -> Scenario:
    """Validate a document in JSON mode, in which lists become tuples while text never becomes a number."""
    scenario = Scenario.model_validate_json(json.dumps(without_server_fields(document)), by_name=False)
    errors = list(_catalog_errors(scenario))
    if errors:
        raise ScenarioErrors(errors)
    return scenario


def scenario_from_bytes(data: bytes) -> Scenario:
    """Parse and check the content of a scenario file.

    Raises:
        ScenarioErrors: everything that is wrong with it.
    """
    if len(data) > MAX_BYTES:
        raise ScenarioErrors([_too_large(len(data))])
    try:
        text = data.decode()
    except UnicodeDecodeError:
        refused = ScenarioError("the document", "UTF-8 text", "other bytes", "Save the file as UTF-8.")
        raise ScenarioErrors([refused]) from None
    return scenario_from_text(text)


def scenario_from_file(path: Path) -> Scenario:
    """Read and check a scenario file.

    Raises:
        CannotRun: the file cannot be read.
        ScenarioErrors: its content is refused.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        size = path.stat().st_size
    except OSError as error:
        raise CannotRun(
            f"{path}: expected a readable scenario file, found: {error.strerror}. Check the path."
        ) from None
    if size > MAX_BYTES:
        raise ScenarioErrors([_too_large(size)])
    return scenario_from_bytes(data)


def _too_large(size: int) -> ScenarioError:
    return ScenarioError("the document", f"at most {MAX_BYTES} bytes", f"{size} bytes", "Shorten the scenario.")


def _catalog_errors(scenario: Scenario) -> Iterator[ScenarioError]:
    """Yield the errors that the grammar cannot express: duplicate names, and pairs that no engine or model supports.

    What another package brings is not loaded here, so its params and pairs are not checked: the hub and the controller
    read scenarios too.
    """
    model = scenario.spec.workload.model
    workload = None if catalog.is_foreign(model) else catalog.load_workload(model)
    if workload is not None:
        yield from _params_errors(scenario, workload)
    yield from _length_errors(scenario, workload)
    yield from _message_errors(scenario, workload is not None and workload.exchanges_messages)
    names = [candidate.name for candidate in scenario.spec.candidates]
    for index, candidate in enumerate(scenario.spec.candidates):
        path = f"spec.candidates[{index}]"
        if names.index(candidate.name) != index:
            yield ScenarioError(
                f"{path}.name", "a name that no other candidate has", f"{candidate.name!r} twice", "Rename one of them."
            )
        if not catalog.is_foreign(candidate.engine):
            yield from _pair_errors(path, candidate, model, workload)


def _params_errors(scenario: Scenario, workload: "Workload") -> Iterator[ScenarioError]:
    try:
        workload.params_model.model_validate_json(json.dumps(scenario.spec.workload.params), by_name=False)
    except ValidationError as error:
        yield from explain(error, workload.params_model, prefix="spec.workload.params")
    else:
        yield from _data_errors(scenario, workload)


def _data_errors(scenario: Scenario, workload: "Workload") -> Iterator[ScenarioError]:
    inputs = workload.input(workload.parse(scenario.spec.workload.params))
    yield from data_errors(scenario.spec.data, inputs, scenario.spec.workload.model)


def data_errors(data: Data, inputs: "InputSpec", model: str) -> Iterator[ScenarioError]:
    """Yield what is wrong with the samples for a model with these inputs."""
    found = f"{model} with these params"
    if (expected := inputs.why_not(data.source)) is not None:
        yield ScenarioError("spec.data.source", expected, found, "Change spec.workload.params, or use synthetic.")
    if (expected := inputs.why_not_transformed(data.transform)) is not None:
        fix = "Choose another transform, or leave it out."
        yield ScenarioError("spec.data.transform", expected, found, fix)


def _length_errors(scenario: Scenario, workload: "Workload | None") -> Iterator[ScenarioError]:
    lengths, choice = scenario.spec.data.lengths, scenario.spec.workload
    if lengths is None:
        return
    if workload is None or workload.with_lengths(padded=False) is None:
        expected = f"no lengths, since the samples of {choice.model} have one shape"
        fix = "Leave them out, or train a model of tokens: gpt, lstm or transformer."
        yield ScenarioError("spec.data.lengths", expected, f"{lengths.least} to {lengths.most}", fix)
        return
    longest = choice.params.get("length", workload.params_model.model_fields["length"].default)
    if isinstance(longest, int) and lengths.most > longest:
        expected = f"at most the model's own length, {longest}"
        yield ScenarioError("spec.data.lengths.most", expected, f"{lengths.most}", "Raise spec.workload.params.length.")


def _message_errors(scenario: Scenario, exchanges: bool) -> Iterator[ScenarioError]:
    model, sizes = scenario.spec.workload.model, scenario.spec.sweep.message_bytes
    path = "spec.sweep.messageBytes"
    if exchanges and not sizes:
        yield ScenarioError(path, f"the sizes of {model}'s messages", "none", "Add one size or more.")
    elif sizes and not exchanges:
        yield ScenarioError(path, f"no sizes, since {model} sends no messages", f"{len(sizes)}", "Leave it out.")


def _pair_errors(path: str, candidate: Candidate, model: str, workload: "Workload | None") -> Iterator[ScenarioError]:
    module = catalog.load_engine(candidate.engine)
    support = module.SUPPORT
    if candidate.strategy not in support.strategies:
        expected = f"a strategy of {candidate.engine} ({', '.join(support.strategies)})"
        yield ScenarioError(f"{path}.strategy", expected, repr(candidate.strategy), "Choose one of them.")
    elif candidate.variant is not None and candidate.variant not in support.variants_of(candidate.strategy):
        variants = ", ".join(support.variants_of(candidate.strategy)) or "it has none: leave it out"
        expected = f"a variant of {candidate.engine} {candidate.strategy} ({variants})"
        yield ScenarioError(f"{path}.variant", expected, repr(candidate.variant), "Choose one, or leave it out.")
    for option in set(candidate.options) - set(support.options):
        expected = f"an option of {candidate.engine} ({', '.join(support.options) or 'it has none'})"
        yield ScenarioError(f"{path}.options", expected, repr(option), "Choose one, or leave it out.")
    if workload is not None and not (
        support.framework in workload.frameworks() and hasattr(module, workload.engine_class)
    ):
        expected = f"an engine that {model} is written for ({', '.join(workload.frameworks())})"
        yield ScenarioError(
            f"{path}.engine", expected, repr(candidate.engine), "Choose another engine or another model."
        )
