"""One milestone as people ask for it."""

from api.http.service import MilestoneView
from edge.journal.journal import Journal
from tangle.outcomes import Applied, Ignored, NoValue


def milestone_view(journal: Journal, index: int | None) -> MilestoneView | None:
    """Return the milestone of `index`, or the last one; `None` if it is not kept here."""
    found = journal.latest_milestone() if index is None else journal.milestone(index)
    if found is None:
        return None
    stored = journal.transaction(found.milestone_id)
    if stored is None:
        assert found.index < journal.oldest_cone(), f"milestone {found.index} is not journalled"
        return None
    outcomes = [type(one.outcome) for one in journal.referenced_by(found.index)]
    return MilestoneView(
        found.milestone_id,
        stored.data,
        stored.attached_at_ms,
        applied=outcomes.count(Applied),
        no_value=outcomes.count(NoValue),
        ignored=outcomes.count(Ignored),
        ended=found.ended,
    )
