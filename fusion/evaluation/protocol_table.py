"""The protocol of an evaluation, as the rows of a table: what was measured, and how it was judged."""

from __future__ import annotations

from fusion.evaluation.evaluation import Evaluation
from fusion.evaluation.results import ModelUsed
from fusion.evaluation.words import extent, listed


def protocol_rows(evaluation: Evaluation) -> dict[str, str]:
    """Return what to say -> how it was."""
    protocol, texts = evaluation.protocol, evaluation.protocol.descriptions
    usable = [name for name in protocol.indicators if name not in evaluation.unusable]
    lower = [name for name in usable if not protocol.higher_is_better[name]]
    reached, wanted = protocol.train_size_reached, protocol.train_size
    exact = reached.min == reached.max == wanted
    edges = protocol.dead_edges
    groups = "groups of strings, one in each" if protocol.twins == "apart" else "groups of twins"
    baselines = [
        _model(name, protocol.baselines[name]) if name in protocol.baselines else name
        for name, of in evaluation.methods.items()
        if of.kind == "baseline"
    ]
    rows = {
        "Target": protocol.target
        + (" (lower is better: negated, so that higher is better)" if protocol.lower_is_better else ""),
        "Rows of accuracies": f"{protocol.rows:,} read; {protocol.architectures:,} architectures judged",
        "Space": protocol.space,
        "Space settings": ", ".join(f"{name}={value}" for name, value in protocol.space_settings.items()),
        "Images": f"{protocol.images}, a batch of {protocol.batch_size:,}" if protocol.images else "",
        "Initialisations": f"{protocol.repeats:,} per architecture",
        "Architectures": f"{protocol.architectures:,}: {protocol.networks:,} different networks, in "
        f"{protocol.groups:,} {groups}",
        "With dead edges": "left out"
        if protocol.without_dead_edges
        else ("" if edges is None else f"{edges:,} architectures"),
        "Trained on": f"{wanted:,} architectures" + ("" if exact else f" (reached: {extent(reached)})"),
        "Tested on": f"{extent(protocol.test_size)} other architectures, in {extent(protocol.test_networks)} "
        f"{groups}",
        "Splits": f"{protocol.splits:,} splits, twins {protocol.twins}. {texts['splitting']}",
        "Means": texts["mean"],
        "Intervals": (f"{protocol.bootstrap:,} replicates: " if protocol.bootstrap else "")
        + texts["interval"],
        "Seed": str(protocol.seed),
        "Fusion models": listed(_model(name, of) for name, of in protocol.models.items())
        + f". {texts['pool']}",
        "Baselines": f"{listed(baselines)}. {texts['baselines']}" if baselines else "",
        "Indicators": listed(usable),
        "Lower is better for": listed(lower),
        "Learned elsewhere": _learned(evaluation) if protocol.transfer else "",
        "Single indicators": texts["single_indicators"],
        "Undefined values": texts["undefined_values"],
    }
    return {name: text for name, text in rows.items() if text}


def _model(name: str, used: ModelUsed) -> str:
    parts = [] if used.model == name else [used.model]
    parts += [] if used.indicators is None else [f"on {used.indicators}"]
    parts += [f"{key}={value}" for key, value in used.params.items()]
    return f"{name} ({', '.join(parts)})" if parts else name


def _learned(evaluation: Evaluation) -> str:
    protocol = evaluation.protocol
    groups = listed(f"{name} ({count:,} networks)" for name, count in protocol.learned_from.items())
    return f"from {groups}. {protocol.descriptions['transfer']}"
