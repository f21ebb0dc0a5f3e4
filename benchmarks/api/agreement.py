"""Both services say the same before they are measured: what is compared is the same work."""

from collections.abc import Mapping

from benchmarks.api.calls import CALLS, List, World
from benchmarks.api.sites import Site


def check(sites: Mapping[str, Site], world: World) -> None:
    """Raises SystemExit for a list whose images differ, or are not what was filled in."""
    for call in CALLS:
        if not isinstance(call, List):
            continue
        answers = [_images(call, site, world) for site in sites.values()]
        shown = [[_compared(image) for image in answer] for answer in answers]
        if shown[0] != shown[1] or not shown[0]:
            different = next((pair for pair in zip(*shown, strict=False) if pair[0] != pair[1]), None)
            raise SystemExit(f'{call.name}: {[len(part) for part in shown]} images; {different}')


def _images(call: List, site: Site, world: World) -> list[dict[str, object]]:
    answer = site.call('GET', call.path(world), call.caller)
    if answer.status != call.status:
        raise SystemExit(f'{site.name}: {call.name}: {answer}')
    return answer.json['images']


def _compared(image: dict[str, object]) -> dict[str, object]:
    return {**image, 'tags': sorted(image['tags'])}
