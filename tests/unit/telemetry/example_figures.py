"""Figures of a hub, made by hand: a cell, a comparison, the service, and a whole snapshot."""

from typing import Any

from stepmark.telemetry.figures import (
    CellFigures,
    CollectiveFigures,
    DeviceFigures,
    InputFigures,
    PairFigures,
    RunCount,
    RunState,
    Service,
    Snapshot,
)


def cell(**changes: Any) -> CellFigures:
    known: dict[str, Any] = {
        "scenario": "cnn", "scenario_namespace": "team-a", "candidate": "keras", "engine": "keras-tensorflow",
        "strategy": "multi-worker-mirrored",
        "execution": "graph", "precision": "float32", "workers": 2, "verdict": "no steady state",
        "parity": "within limits", "ended_at": 1.7e9, "samples_per_second": 2000.0, "samples_per_second_low": 1990.0,
        "samples_per_second_high": 2010.0, "step_seconds_p50": 0.032, "step_seconds_p95": 0.034,
        "step_seconds_p99": 0.05, "speedup": 1.8, "efficiency": 0.9, "exposed_communication_ratio": 0.06,
        "wait_ratio": 0.01, "mfu": 0.31, "peak_memory_bytes": 3 << 30, "joules_per_sample": 0.2,
        "devices": DeviceFigures(
            device="nvidia-h100-80gb-hbm3", sm_clock_hz=1.7e9, power_watts=650.0, power_capped_ratio=0.1,
            memory_bytes=5 << 30,
        ),
        "inputs": InputFigures(
            wait_ratio=0.4, ceiling_samples_per_second=2500.0, tokens_per_second=9000.0, padding_ratio=0.3,
            recompiles=2.0, compile_seconds=6.5,
        ),
    }  # fmt: skip
    return CellFigures(**known | changes)


def pair(**changes: Any) -> PairFigures:
    known: dict[str, Any] = {
        "scenario": "cnn", "scenario_namespace": "team-a", "candidate": "keras", "reference": "torch",
        "execution": "default", "precision": "float32",
        "workers": 2, "verdict": "no measurable difference", "ratio": 1.001, "ratio_low": 0.995, "ratio_high": 1.007,
    }  # fmt: skip
    return PairFigures(**known | changes)


def exchange(**changes: Any) -> CollectiveFigures:
    known: dict[str, Any] = {
        "scenario": "exchange", "scenario_namespace": "team-a", "candidate": "torch", "engine": "torch",
        "strategy": "ddp", "precision": "bfloat16", "workers": 2, "collective": "all-reduce", "message_bytes": 1 << 20,
        "latency_seconds": 0.001, "bus_bytes_per_second": 1.05e9, "bus_bytes_per_second_low": 1.0e9,
        "bus_bytes_per_second_high": 1.1e9,
    }  # fmt: skip
    return CollectiveFigures(**known | changes)


def service(**changes: Any) -> Service:
    known: dict[str, Any] = {
        "stepmark_version": "0.1.0", "schema_revision": "0001", "database_bytes": 4096,
        "runs": (RunCount(outcome="failed", reason="launch-failed", runs=3),), "unseen_seconds": 12.5,
        "queue_running": 1, "queue_ended": 2, "volume_bytes": 10 << 30, "volume_free_bytes": 1 << 30,
    }  # fmt: skip
    return Service(**known | changes)


def snapshot(**changes: Any) -> Snapshot:
    known: dict[str, Any] = {
        "cells": (cell(),), "pairs": (pair(),), "collectives": (exchange(),), "service": service(),
        "scenarios": (RunState(scenario="cnn", outcome="failed", reason="launch-failed"),),
    }  # fmt: skip
    known |= changes
    for name in ("cells", "pairs", "collectives", "scenarios"):
        known.setdefault(f"{name}_stored", len(known[name]))
    return Snapshot(**known)
