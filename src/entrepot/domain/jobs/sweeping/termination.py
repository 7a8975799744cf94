"""Early termination: which running trials are to end, judged by what each logged of the primary metric. Pure.

As Azure ML tells it: an interval is one logged value; a policy looks at each multiple of `evaluation_interval`, from
`delay_evaluation` on, and compares a trial with the others at the same interval.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean, median

from entrepot.domain.jobs.sweeping.settings import BANDIT, MEDIAN, Policy, SweepSettings

Histories = Mapping[str, Sequence[float]]
"""What each trial logged of the primary metric so far, in order; trials that have ended are in it too."""


def to_end(settings: SweepSettings, histories: Histories, running: Sequence[str]) -> dict[str, str]:
    """Return the running trials that the policy ends, each with the reason in words."""
    policy = settings.policy
    if policy is None:
        return {}
    sign = 1.0 if settings.is_maximized else -1.0
    risen = {name: [sign * value for value in values] for name, values in histories.items()}  # the higher the better
    found = {}
    for name in running:
        interval = _due(policy, len(risen.get(name, ())))
        if not interval:
            continue
        peers = {peer: values[:interval] for peer, values in risen.items() if peer != name and values}
        reason = _judged(policy, risen[name][:interval], peers, interval, sign)
        if reason:
            found[name] = f"ended early at interval {interval} by the {policy.kind} policy: {reason}"
    return found


def _due(policy: Policy, reported: int) -> int:
    """Return the newest interval at which the policy looks at a trial; 0 when there is none yet."""
    interval = reported - reported % policy.interval
    return interval if interval >= policy.delay else 0


def _judged(policy: Policy, own: Sequence[float], peers: Histories, interval: int, sign: float) -> str:
    best = max(own)
    if not peers:
        return ""
    if policy.kind == BANDIT:
        leader = max(max(values) for values in peers.values())
        bound = leader - policy.slack_amount if policy.slack_amount else leader - abs(leader) * _margin(policy, leader)
        return f"{sign * best:g} is beyond the slack of the best, {sign * leader:g}" if best < bound else ""
    if policy.kind == MEDIAN:
        middle = median(fmean(values) for values in peers.values())
        return f"{sign * best:g} is worse than the median, {sign * middle:g}" if best < middle else ""
    reached = [max(values) for values in peers.values() if len(values) >= interval]
    doomed = (len(reached) + 1) * policy.percentage // 100
    worse = sum(value < best for value in reached)
    return f"it is among the lowest {policy.percentage} %" if reached and worse < doomed else ""


def _margin(policy: Policy, leader: float) -> float:
    """Return by which part of the best a trial may be worse: 1 / (1 + slack) of it, or that much above a minimum."""
    return policy.slack_factor if leader < 0 else policy.slack_factor / (1 + policy.slack_factor)
