"""Runs the steps, waits where something is missing, and tells the consoles."""
import time

from . import releases
from .outcome import Failed, Refused, Wait

POLL_SECONDS = 3
MOST_SECONDS = 60


def _state(problem):
    if isinstance(problem, Refused):
        return "refused"
    return "failed, trying again" if isinstance(problem, Failed) else "waiting"


def _pause(context, problem, attempt, seen):
    """Until trying again makes sense: at once when other media are plugged in, else after a growing time."""
    if isinstance(problem, Refused):
        longest = 10 * MOST_SECONDS
    elif isinstance(problem, Failed):
        longest = min(MOST_SECONDS, POLL_SECONDS * 2 ** min(attempt, 5))
    else:
        longest = 4 * POLL_SECONDS
    end = time.monotonic() + longest
    while time.monotonic() < end:
        time.sleep(POLL_SECONDS)
        if context.media.identity() != seen:
            return


def run_step(context, step, once):
    """Tries until it is done; gives its words, or None when `once` and it would have to wait."""
    attempt = 0
    while True:
        seen = context.media.identity()
        try:
            return step.run(context)
        except Wait as problem:
            context.report.update(state=_state(problem), message=str(problem), next=problem.hint)
            if once:
                return None
            _pause(context, problem, attempt, seen)
            attempt += 1


def run(context, steps, once=False):
    """Status 0 when all is done; 75 when `once` and something is missing."""
    report = context.report
    for number, step in enumerate(steps, 1):
        report.update(state="working", step=step.name, number=number, steps=len(steps), message=step.title, next="")
        message = run_step(context, step, once)
        if message is None:
            return 75
        report.update(state="done", message=message, next="")
    version = releases.active(context)
    report.update(state="ready", step="", number=0, message=f"release {version} runs", next="", release=version)
    return 0
