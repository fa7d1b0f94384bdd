"""The model that is used unless another is named: from no accuracies to a thousand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from fusion.errors import FusionError
from fusion.indicators import INDICATORS
from fusion.regression.auto.members import MEMBERS, Member
from fusion.regression.auto.prior import read_weights
from fusion.regression.auto.remembered import Remembered
from fusion.regression.auto.views import View, Views
from fusion.regression.base import MODELS, FusionModel, ModelState
from fusion.regression.calibration import Calibration, checked_groups, folds_of
from fusion.regression.checked import moderate, positive, vector
from fusion.regression.columns import Array
from fusion.regression.order import Indices, once_each, order_of_rows
from fusion.regression.target import learn_target, slopes
from fusion.tables import Pool

# Of the expected mixture's squared error, what a departure of 1 from its weights must gain.
_EXPECTED = 80.0
# With as many accuracies, trees are expected to weigh half as much as with many.
_TREES = 30.0
# Nor does the encoding tell much alone while there are fewer.
_ENCODING = 60.0
# With as many accuracies, new weights of the consensus' terms are expected to count half as with none.
_FEW = 24.0
# With as many, what other spaces taught is expected to weigh as much as all that was learned from them.
_TAUGHT = 15.0
FEWEST = 4
"""Different architectures under which the weights of the mixture are those that are expected."""
# Architectures whose covariance matrix fits into memory.
_MOST = 20_000
# Of the largest share, under which a member is not kept.
_NEGLIGIBLE = 0.01
# Pull towards the expected weights of members that make no error.
_LEAST = 1e-6
# The member that says how sure it is.
_SURE = "wide_process"


class _Gives:
    """What `predict` returns: scores when an `Auto` was fitted without accuracies."""

    def __get__(self, model: Auto | None, owner: object = None) -> Literal["accuracy", "score"]:
        return "accuracy" if getattr(model, "members_", True) else "score"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What the mixture says of architectures that its members were not fitted on.

    Attributes
    ----------
    folds : ndarray of int, shape (n_architectures,)
        Which were held out together; in the order of `order_of_rows`, as the rest.
    errors, spreads : ndarray, shape (n_architectures,)
        Goal less prediction, and how sure it was, in the unit of the goal.
    """

    folds: Indices
    errors: Array
    spreads: Array

    def together(self, groups: npt.NDArray[Any]) -> bool:
        """Return whether each of these groups was in one fold."""
        pairs = {*zip(groups.tolist(), self.folds.tolist(), strict=True)}
        return len(pairs) == len({*groups.tolist()})


@MODELS.register
class Auto(FusionModel):
    """A mixture of what the accuracies suffice for; without any, a consensus of indicators.

    What it sees of a table is a prior score (the consensus of indicators, which needs no accuracies),
    indicators as ranks and as logarithms, features of the cells' graphs and the encoding, all of them on
    the scale of the whole pool, and the indicators without the noise of their initialisation (see `Views`).
    Its members learn, of each, how the accuracy departs from the prior: four Gaussian processes that learn
    which features are relevant, on all features, on the indicators, on the prior's terms and on the encoding
    alone; where other spaces taught the prior, a line through it; boosted trees with linear leaves;
    extremely randomised trees. Each is judged on accuracies that it was not fitted on, and the mixture has
    the weights, none negative, with the least squared error there; with few accuracies they stay near those
    that are expected, which leave more to the processes and to what was taught. Of a network that was
    measured, the prediction lies between that and the measurement (see `Remembered`).

    Parameters
    ----------
    effort : {"full", "quick"}
        "quick" leaves the trees out, which take most of the time where accuracies are few.
    random_state : int
        Of the trees.
    taught : str
        Weights of the Gaussian scores of indicators' ranks, as `zen=0.5,params=0.25`: their sum is the prior
        score then, in place of the consensus. See `beside` of `fusion.fit`, which learns them.

    Attributes
    ----------
    shares_ : dict of str to float
        Member -> weight, of those that have one; empty without accuracies.
    views_ : Views
    members_ : dict of str to Member
        Of those weights, and the one that says how sure it is.
    seen_ : View or None
        Of the architectures with accuracies, in an order that does not depend on how they were given.
    held_out_ : HeldOut or None
        None without accuracies of two different architectures, and in a loaded model.
    remembered_ : Remembered or None
        Of the networks with accuracies; None without accuracies of two.

    Notes
    -----
    Sources: stacking with weights that are not negative, L. Breiman, "Stacked regressions", Machine
    Learning 24, 1996; of the members and views, there. Choices were made on CIFAR-10 accuracies of
    `nats-tss`; how far weights depart from those expected, on `nats-sss` too; that trees see numbers of the
    encoding, on `zoo-imagenet`; how much what was taught counts, on the seven NDS spaces, with other draws
    than those that are published; of the prior, see `Consensus`.
    """

    name = "auto"
    summary = "chooses and mixes by cross-validation, from no accuracies to a thousand"
    source = "this library; stacking: Breiman, Machine Learning 24, 1996"
    gives = _Gives()
    needs_labels = False
    has_spread = True
    uses_groups = True
    uses_kin = True
    files = tuple(file for member in MEMBERS.values() for file in member.files)

    target = "gap"

    def __init__(self, effort: str = "full", random_state: int = 0, taught: str = "") -> None:
        self.effort = effort
        self.random_state = random_state
        self.taught = taught

    # thousands of small factorisations: with more threads most of the time goes into waiting for each other
    @threadpool_limits.wrap(limits=1, user_api="blas")  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike | None = None,
        pool: Pool | npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> Auto:
        """Learn from the accuracies `y` of the architectures `X`, and from `pool`.

        Parameters
        ----------
        X : DataFrame or array, shape (n_architectures, n_indicators)
        y : array, shape (n_architectures,), optional
            Accuracies; without them the model ranks.
        pool : Pool, DataFrame or array, shape (n_pool, n_indicators), optional
            Indicators of the space's architectures.
        groups : array, shape (n_architectures,), optional
            Architectures of one group, such as twins, are left out together.

        Raises
        ------
        FusionError
            When `effort` or `taught` is not known, there are more accuracies than fit into memory, or not as
            many groups.
        ValueError
            When `X`, `y` or `pool` are no numbers, do not match, or `y` is not finite.
        """
        if self.effort not in ("full", "quick"):
            raise FusionError(f"effort {self.effort!r} is not known; use 'full' or 'quick'")
        if y is None:
            values: Array = validate_data(self, X, dtype=np.float64, ensure_all_finite=False)
        else:
            values, accuracies = self._check_training(X, y, rows=1)
        names = [str(name) for name in getattr(self, "feature_names_in_", range(self.n_features_in_))]
        up = [name not in INDICATORS or INDICATORS[name].higher_is_better for name in names]
        better = np.where(up, 1, -1)
        reference = self._learn_transform(values, pool)
        self.transformer_.fill_worse(better)
        is_pool = self.reference_ == "pool"
        taught = read_weights(self.taught)
        self.views_ = Views.learn(names, reference, self.transformer_, better, is_pool, taught)
        self.calibration_ = None
        self.levels_ = None
        self.members_: dict[str, Member] = {}
        self.shares_: dict[str, float] = {}
        self.seen_: View | None = None
        self.held_out_: HeldOut | None = None
        self.remembered_: Remembered | None = None
        if y is not None:
            self._learn_accuracies(values, accuracies, groups)
        return self

    def _learn_accuracies(self, values: Array, accuracies: Array, groups: npt.ArrayLike | None) -> None:
        if len(accuracies) > _MOST:
            raise FusionError(
                f"auto learns from at most {_MOST:,} accuracies, not {len(accuracies):,}; give fewer, or use "
                "lightgbm"
            )
        order = order_of_rows(values, accuracies)
        known = None if groups is None else checked_groups(groups, len(values))[order]
        values, accuracies = values[order], accuracies[order]
        view = self.views_.of(values, self.transformer_.transform(values))
        goal, self.levels_ = learn_target(self.target, accuracies)
        named = _networks(values) if known is None else known
        networks = len(np.unique(named))
        taught = len(self.views_.prior.taught) > 0
        members = {
            name: member.learn(view, goal, self.random_state)
            for name, member in MEMBERS.items()
            if member.usable(view, networks)
            and not (self.effort == "quick" and member.slow)
            and (taught or not member.for_taught)
        }
        shares = _expected(list(members), len(goal))
        if networks > 1:
            folds = _folds(values, accuracies, named)
            predicted, spreads = self._held_out(members, view, goal, folds)
            if networks >= FEWEST:
                pull = np.sqrt(_EXPECTED * np.mean((goal - predicted @ shares) ** 2) + _LEAST)
                design = np.vstack([predicted, pull * np.eye(len(members))])
                shares = nnls(design, np.concatenate([goal, pull * shares]))[0]
            self.held_out_ = HeldOut(folds, goal - predicted @ shares, spreads)
            noise = members[_SURE].noise
            self.remembered_ = Remembered.learn(
                view.flat, goal, predicted @ shares, spreads, slopes(accuracies), noise
            )
        self.shares_ = {
            name: float(share)
            for name, share in zip(members, shares, strict=True)
            if share > _NEGLIGIBLE * shares.max()
        }
        self.members_ = {n: member for n, member in members.items() if n in self.shares_ or n == _SURE}
        self.seen_ = view

    def _held_out(
        self, members: dict[str, Member], view: View, goal: Array, folds: Indices
    ) -> tuple[Array, Array]:
        """Return what members predict of rows that they were not fitted on, (n, members), and the spreads."""
        predicted, spreads = np.empty((len(goal), len(members))), np.ones(len(goal))
        for fold in range(folds.max() + 1):
            held = folds == fold
            part, rest = view.take(held), view.take(~held)
            for j, (name, whole) in enumerate(members.items()):
                again = MEMBERS[name].learn(rest, goal[~held], self.random_state, whole)
                predicted[held, j] = again.predict(part)
                if name == _SURE:
                    spreads[held] = again.spread(part)
        return predicted, spreads

    def calibrate(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        pool: Pool | npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> Auto:
        """Learn how far predictions are off, from what was predicted of left-out architectures in `fit`.

        Where `groups` were not left out together, or the model was loaded, it is fitted again.

        Parameters
        ----------
        X, y, pool, groups
            As of `fit`, and what the model was fitted on.

        Raises
        ------
        FusionError
            When the model was fitted without accuracies, or all architectures are one group.
        ValueError
            As of `fit`.
        """
        check_is_fitted(self)
        if not self.members_:
            raise FusionError(
                "auto was fitted without accuracies; give some, for intervals are learned from them"
            )
        values, accuracies = self._check_training(X, y, rows=1)
        known = None
        if groups is not None:
            known = checked_groups(groups, len(values))[order_of_rows(values, accuracies)]
        held = self.held_out_
        if held is None or (known is not None and not held.together(known)):
            held = self.fit(X, y, pool, groups).held_out_
        if held is None:
            raise FusionError("all architectures are one group; intervals need at least two")
        self.calibration_ = Calibration.learn(held.errors, held.spreads, accuracies)
        return self

    def _features(self, X: npt.ArrayLike) -> Array:
        check_is_fitted(self)
        return once_each(
            lambda values: self.views_.of(values, self.transformer_.transform(values)).flat,
            self._check_columns(X),
        )

    def _learn(self, features: Array, goal: Array) -> None:
        raise AssertionError("`fit` learns from views, and does not come here")

    def _scores(self, features: Array) -> Array:
        return once_each(self._mixed, features)

    def _spreads(self, features: Array) -> Array:
        spreads = once_each(lambda rows: self.members_[_SURE].spread(self.views_.split(rows)), features)
        if self.remembered_ is not None:
            places = self.remembered_.places(features)
            spreads = np.where(places < 0, spreads, self.remembered_.spreads[places])
        return spreads

    def _mixed(self, features: Array) -> Array:
        view = self.views_.split(features)
        if not self.members_:
            return view.prior
        score = np.zeros(len(features))
        for name, share in self.shares_.items():
            score += share * self.members_[name].predict(view)
        if self.remembered_ is not None:
            places = self.remembered_.places(features)
            score = np.where(places < 0, score, self.remembered_.scores[places])
        return score

    def _state(self) -> ModelState:
        states = {name: member.to_state() for name, member in self.members_.items()}
        files = {file: text for state in states.values() for file, text in state.files.items()}
        seen = None if self.seen_ is None else self.seen_.to_state()
        values = {
            "views": self.views_.to_state(),
            "seen": seen,
            "remembered": None if self.remembered_ is None else self.remembered_.to_state(),
            "shares": self.shares_,
            "members": {name: state.values for name, state in states.items()},
        }
        # what was not needed is empty, so that all models of this name have the same files
        return ModelState(values, {file: files.get(file, "") for file in self.files})

    def _restore(self, state: ModelState, width: int) -> None:
        values = state.values
        self.held_out_ = None
        moderate(self.transformer_.fill_, "fill")
        self.views_ = Views.from_state(values["views"], self.n_features_in_, width)
        self.seen_ = None if values["seen"] is None else self.views_.view_from_state(values["seen"])
        shares, members = values["shares"], values["members"]
        if not isinstance(shares, dict) or not isinstance(members, dict):
            raise ValueError("shares and members are no objects")
        if not {*shares} <= {*members} <= {*MEMBERS} or (members and _SURE not in members):
            raise ValueError("members are not those of the mixture")
        if bool(members) != (self.seen_ is not None) or bool(members) != (self.levels_ is not None):
            raise ValueError("members and accuracies do not go together")
        positive(moderate(vector([*shares.values()], "shares"), "shares"), "shares")
        self.shares_ = {name: float(share) for name, share in shares.items()}
        self.members_ = {}
        self.remembered_ = None
        if self.seen_ is not None:
            if len(self.seen_.prior) > _MOST:
                raise ValueError(f"{len(self.seen_.prior)} architectures are too many")
            for name in members:
                own = ModelState(members[name], state.files)
                self.members_[name] = MEMBERS[name].from_state(own, self.seen_)
            if values["remembered"] is not None:
                self.remembered_ = Remembered.from_state(values["remembered"], self.seen_.flat)


def _expected(members: list[str], architectures: int) -> Array:
    """Return the weights that are expected of members, of sum 1."""
    n = architectures
    few = 0.6 * _FEW / (n + _FEW)
    trees = 0.5 * n / (n + _TREES)
    shares = {
        "few_process": few,
        "wide_process": (1 - few) / 2,
        "narrow_process": (1 - few) / 2,
        "encoding_process": 0.3 * n / (n + _ENCODING),
        "boosted_trees": trees / (1 - trees) / 2,
        "randomised_trees": trees / (1 - trees) / 2,
    }
    own = sum(shares.get(name, 0.0) for name in members)
    shares["taught_line"] = own * (_TAUGHT / n) ** 2
    found = np.array([shares[name] for name in members])
    expected: Array = found / found.sum()
    return expected


def _networks(values: Array) -> Indices:
    """Return a number for each row, the same for equal ones, which are of one network."""
    known = np.where(np.isfinite(values), values, np.inf)
    numbers: Indices = np.unique(known, axis=0, return_inverse=True)[1].ravel()
    return numbers


def _folds(values: Array, accuracies: Array, groups: npt.NDArray[Any]) -> Indices:
    """Return the fold of each row: ten, five or three of them by how many rows there are."""
    count = 10 if len(values) <= 64 else 5 if len(values) <= 256 else 3
    folds: Indices = folds_of(values, accuracies, groups, 1) % count
    return np.unique(folds, return_inverse=True)[1]
