"""The commands `simulate run` and `simulate sweep`.

`python -m api.commands.simulate_main`.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from api.laboratory.choices import (
    MAX_ALPHA,
    MAX_RATE_PER_S,
    MAX_SECONDS,
    MAX_SHARE,
    MIN_SECONDS,
    AttackName,
    Moments,
    Sweep,
    attack_of,
    experiments_of,
    wrong,
)
from api.laboratory.running import Row, run_all, run_one
from api.laboratory.summary import settings_of, summary_of
from api.laboratory.tables import write_rows, write_tables
from api.settings.private_files import not_writable
from api.terminal.extras import module_over
from api.terminal.options import AsJson, add_command, ending, typer_app
from api.terminal.talk import put, put_json, say
from tip_selection.laboratory.experiment import Experiment, SelectorName


class PlotKind(StrEnum):
    """How plots are written."""

    SVG = "svg"
    PNG = "png"


BEGIN_DELAYS: Final = 50
HOLD_DELAYS: Final = 50
"""Where nothing else is said."""

_PLOTS: Final = "api.laboratory.plots"

Transactions = Annotated[
    int, typer.Option("--transactions", "-n", min=1, max=1_000_000, help="To issue in a run.")
]
Rate = Annotated[
    float,
    typer.Option(
        "--rate", min=MIN_SECONDS, max=MAX_RATE_PER_S, help="λ: honest transactions a second."
    ),
]
Delay = Annotated[
    float,
    typer.Option(
        "--delay", min=MIN_SECONDS, max=MAX_SECONDS, help="h: seconds until everybody sees one."
    ),
]
SelectorChoice = Annotated[SelectorName, typer.Option("--selector", help="How parents are chosen.")]
Alpha = Annotated[
    float, typer.Option("--alpha", min=0, max=MAX_ALPHA, help="Of the weighted walk.")
]
IsBounded = Annotated[bool, typer.Option("--bounded", help="Lower α under load, as nodes do.")]
Parents = Annotated[int, typer.Option("--parents", "-k", min=2, max=8)]
MilestoneInterval = Annotated[
    float | None,
    typer.Option(
        "--milestone-interval",
        min=MIN_SECONDS,
        max=MAX_SECONDS,
        help="Seconds. [default: no milestones]",
    ),
]
AttackChoice = Annotated[AttackName, typer.Option("--attack")]
Share = Annotated[
    float,
    typer.Option("--share", min=0, max=MAX_SHARE, help="The attacker's, of all transactions."),
]
Begin = Annotated[
    float | None,
    typer.Option("--attack-begin", min=0, max=MAX_SECONDS, help="Seconds. [default: 50 delays]"),
]
Hold = Annotated[
    float | None,
    typer.Option(
        "--attack-hold",
        min=0,
        max=MAX_SECONDS,
        help="Seconds a chain is secret, spam lasts; age of what lazy ones approve. [50 delays]",
    ),
]
Watch = Annotated[
    int, typer.Option("--watch", min=0, max=100, help="Transactions whose confidence is followed.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1)]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="New folder for tables and plots.")
]
Plots = Annotated[PlotKind | None, typer.Option("--plots", help="Into --out; needs matplotlib.")]
GraphMl = Annotated[bool, typer.Option("--graphml", help="tangle.graphml into --out.")]
Repeats = Annotated[int, typer.Option("--repeats", min=1, max=1_000, help="Seeds of each.")]
Values = Annotated[str, typer.Option(metavar="A,B,…")]

app = typer_app("The laboratory of tip selection.")


def run(  # noqa: PLR0913 — to Typer each option is an argument
    *,
    transactions: Transactions = 10_000,
    rate: Rate = 10.0,
    delay: Delay = 1.0,
    selector: SelectorChoice = SelectorName.WEIGHTED_WALK,
    alpha: Alpha = 0.01,
    bounded: IsBounded = False,
    parents: Parents = 2,
    milestone_interval: MilestoneInterval = None,
    attack: AttackChoice = AttackName.NONE,
    share: Share = 0.3,
    attack_begin: Begin = None,
    attack_hold: Hold = None,
    watch: Watch = 0,
    seed: Seed = 1,
    out: Out = None,
    plots: Plots = None,
    graphml: GraphMl = False,
    as_json: AsJson = False,
) -> None:
    """Let a tangle grow by chance, and tell what came out. The same seed gives the same tangle.

    Examples:
      tanglewatt simulate run
      tanglewatt simulate run --selector uniform --rate 50 --out uniform --plots svg
      tanglewatt simulate run --attack parasite-chain --share 0.4 --alpha 0.001
    """
    with ending(as_json=as_json):
        when = _moments(delay, attack_begin, attack_hold)
        experiment = Experiment(
            transactions,
            rate,
            delay,
            selector,
            alpha,
            bounded,
            parents,
            milestone_interval,
            attack_of(attack, when),
            share if attack is not AttackName.NONE else 0.0,
            watch,
            seed,
        )
        folder = _new_folder(out, needed=plots is not None or graphml)
        plot_run = module_over("matplotlib", _PLOTS).plot_run if plots else None
        write_graph = (
            module_over("networkx", "api.laboratory.graphml").write_graphml if graphml else None
        )
        record = run_one(experiment, is_quiet=as_json)
        if folder is not None:
            write_tables(record, folder)
            if plot_run is not None:
                plot_run(record, folder, str(plots))
            if write_graph is not None:
                write_graph(record, folder / "tangle.graphml")
        _tell(settings_of(experiment) | summary_of(record), folder, as_json=as_json)


def sweep(  # noqa: PLR0913 — to Typer each option is an argument
    *,
    transactions: Transactions = 5_000,
    delay: Delay = 1.0,
    rates: Values = "10",
    selectors: Values = str(SelectorName.WEIGHTED_WALK),
    alphas: Values = "0.001,0.01,0.1,1",
    parents: Parents = 2,
    milestone_intervals: Values = "none",
    attack: AttackChoice = AttackName.PARASITE_CHAIN,
    shares: Values = "0.1,0.2,0.3,0.4,0.5,0.6",
    attack_begin: Begin = None,
    attack_hold: Hold = None,
    repeats: Repeats = 5,
    seed: Seed = 1,
    out: Out = None,
    plots: Plots = None,
    as_json: AsJson = False,
) -> None:
    """Run every combination of some settings on all cores: a row for each run.

    Examples:
      tanglewatt simulate sweep --out parasite --plots svg --milestone-intervals none,2
      tanglewatt simulate sweep --attack none --shares 0 --selectors uniform --rates 50,100,200
    """
    with ending(as_json=as_json):
        when = _moments(delay, attack_begin, attack_hold)
        model = Experiment(
            transactions, 1.0, delay, parents=parents, attack=attack_of(attack, when), seed=seed
        )
        varied = Sweep(selectors, alphas, rates, shares, milestone_intervals, repeats)
        experiments = experiments_of(model, varied)
        folder = _new_folder(out, needed=plots is not None)
        plot_sweep = module_over("matplotlib", _PLOTS).plot_sweep if plots else None
        rows = run_all(experiments, is_quiet=as_json)
        if folder is not None:
            write_rows(folder / "sweep.csv", rows)
            if plot_sweep is not None:
                for measure in _measures(attack):
                    plot_sweep(rows, measure, folder / f"{measure}.{plots}")
        for row in rows:
            if as_json:
                put_json(row)
        if not as_json:
            put(f"{len(rows)} runs" + ("" if folder is None else f": {folder / 'sweep.csv'}"))
            for line in _means(rows, _measures(attack)):
                put(line)


def _measures(attack: AttackName) -> tuple[str, ...]:
    """Return what a sweep is about, by keys of a summary."""
    match attack:
        case AttackName.PARASITE_CHAIN:
            return ("attacker_won", "second_share")
        case AttackName.SPLITTING:
            return ("split_held_s", "left_behind")
        case AttackName.NONE | AttackName.LAZY | AttackName.SPAM:
            return ("mean_tips", "mean_first_approval_s", "left_behind")


def _means(rows: list[Row], measures: tuple[str, ...]) -> list[str]:
    """Return a line for each combination, the means of its seeds."""
    varied = ("selector", "alpha", "rate_per_s", "share", "milestone_interval_s")
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in varied), []).append(row)
    lines = ["  ".join([*varied, *measures])]
    for combination, group in groups.items():
        cells = [str(value) for value in combination]
        for measure in measures:
            known = [
                float(value) for row in group if isinstance(value := row[measure], int | float)
            ]
            cells.append(f"{sum(known) / len(known):.3g}" if known else "")
        lines.append("  ".join(cells))
    return lines


def _moments(delay_s: float, begin_s: float | None, hold_s: float | None) -> Moments:
    return Moments(
        BEGIN_DELAYS * delay_s if begin_s is None else begin_s,
        HOLD_DELAYS * delay_s if hold_s is None else hold_s,
    )


def _new_folder(out: Path | None, *, needed: bool) -> Path | None:
    """Make the folder of `--out`; nothing in it is ever written over. Raises `CommandError`."""
    if out is None:
        if needed:
            raise wrong("no --out", "plots and graphs need a folder to be written to")
        return None
    folder = out.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise wrong(f"--out {out}", "it is not empty: what is there is not written over")
    except OSError as error:
        raise not_writable(folder, error) from error
    return folder


def _tell(row: Row, folder: Path | None, *, as_json: bool) -> None:
    if as_json:
        put_json(row)
        return
    width = max(map(len, row))
    for name, value in row.items():
        if value is not None:
            text = f"{value:.4g}" if isinstance(value, float) else str(value)
            put(f"{name:<{width}}  {text}")
    if folder is not None:
        say(f"written to {folder}")


add_command(app, "run", run)
add_command(app, "sweep", sweep)

if __name__ == "__main__":
    app(prog_name="tanglewatt simulate")
