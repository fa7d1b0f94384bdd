"""What a comparison of searches found, as things with types and a versioned JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fusion.errors import FusionError
from fusion.settings import Settings, Whole

FORMAT = 2


@dataclass(frozen=True)
class SearchSettings(Settings):
    """How a space is searched.

    Attributes
    ----------
    budget : int
        Measured architectures per search.
    initial : int
        Random architectures measured first.
    rounds : int
        Of fitting and measuring.
    candidates : int
        Architectures whose accuracy is predicted in each round.
    repeats : int
        Searches of each kind.
    seed : int
        Of all searches.

    Examples
    --------
    >>> import fusion
    >>> fusion.SearchSettings(budget=30).initial
    20
    """

    kind = "search"

    budget: Whole = 50
    initial: Whole = 20
    rounds: Whole = 3
    candidates: Whole = 100
    repeats: Whole = 5
    seed: Whole = 0


@dataclass(frozen=True)
class Found:
    """The best that one search found: a canonical architecture and its measured accuracy."""

    arch: str
    accuracy: float


@dataclass(frozen=True)
class SearchMethod:
    """One kind of search.

    Attributes
    ----------
    trajectories : tuple of tuple of float
        For each repeat, the best accuracy after 1, 2, ... measured architectures.
    best : tuple of Found
        Of each repeat.
    mean_best : float
        Mean over the repeats.
    cost : float or None
        Seconds that training what was measured takes, mean over the repeats; None where unknown.
    """

    trajectories: tuple[tuple[float, ...], ...]
    best: tuple[Found, ...]
    mean_best: float
    cost: float | None


@dataclass(frozen=True)
class Comparison:
    """Searches side by side.

    Attributes
    ----------
    space : str
    space_settings : mapping
        JSON values.
    predictor : str
        The model that was fitted anew in each round.
    settings : SearchSettings
    networks : int
        How many networks were searched.
    whole : bool
        Whether these are all networks of the space.
    best_known : float
        The best accuracy among them: the optimum of the space only where `whole`.
    methods : mapping of str to SearchMethod
    """

    space: str
    space_settings: Mapping[str, Any]
    predictor: str
    settings: SearchSettings
    networks: int
    whole: bool
    best_known: float
    methods: Mapping[str, SearchMethod]

    @property
    def best_of(self) -> str:
        """What `best_known` is, in words."""
        return "optimum of the space" if self.whole else f"best of the {self.networks:,} searched"

    def regret(self, method: str) -> float:
        """Return how far the mean best of a method stays below the best that is known."""
        return self.best_known - self.methods[method].mean_best

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values, with the version of their form."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Comparison:
        """Return the comparison that gave `values`; raises FusionError for another form."""
        if values.get("format") != FORMAT:
            raise FusionError(
                f"search: form {values.get('format')!r}, this version reads {FORMAT}; search again"
            )
        try:
            given = {
                name: value for name, value in values.items() if name not in ("format", "settings", "methods")
            }
            methods = {
                name: SearchMethod(
                    tuple(map(tuple, of["trajectories"])),
                    tuple(Found(**best) for best in of["best"]),
                    of["mean_best"],
                    of["cost"],
                )
                for name, of in values["methods"].items()
            }
            return cls(**given, settings=SearchSettings(**values["settings"]), methods=methods)
        except (TypeError, KeyError, AttributeError) as error:
            raise FusionError(f"search: damaged ({error}); search again") from None
