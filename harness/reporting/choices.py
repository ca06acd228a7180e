"""What was decided beside a paper's settings, as its page lists it: where the paper is silent, where it is read otherwise than
printed, and where we do otherwise than it or its authors' code."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.reporting.markdown import code, text
from harness.reporting.sections import Section

NONE = "None."


def silences(sections: Sequence[Section]) -> list[str]:
    """What we do where the paper is silent, and from where that is; nothing without a recipe."""
    recipe = _recipe(sections)
    if recipe is None:
        return []
    lines = [f"- **{text(one['what'])}**: {text(one['choice'])} ({text(one['source'])})" for one in recipe["decisions"]]
    return ["## Where the paper is silent", "\n".join(lines) or NONE]


def readings(sections: Sequence[Section]) -> list[str]:
    """Where the paper is read otherwise than printed, and why; nothing without a recipe."""
    recipe = _recipe(sections)
    if recipe is None:
        return []
    lines = [
        f"- **{text(one['what'])}** Read as: {text(one['reading'])} Why: {text(one['argument'])}"
        for one in recipe["readings"]
    ]
    return ["## Where the paper is read otherwise", "\n".join(lines) or NONE]


def departures(section: Section) -> list[str]:
    """Those in force in a section's records, or without records those that would be; nothing without either and a recipe."""
    if section.recipe is None and not section.records:
        return []
    listed = list(section.recipe["departures"]) if section.recipe else []
    if section.records:
        known = {one["id"]: one for one in listed}
        known |= {
            one.id: {"id": one.id, "what": one.what, "reason": f"Asked for: {one.option}."} for one in section.asked
        }
        used = sorted({name for record in section.records for name in record.departures})
        listed = [known.get(name, {"id": name, "what": "not described in the present recipe."}) for name in used]
    else:
        listed = [one for one in listed if not one.get("scopes") or section.scope in one["scopes"]]
    return [
        "### Departures from the paper or its authors' code",
        "\n".join(_departure(one) for one in listed) or NONE,
    ]


def _departure(one: Mapping[str, Any]) -> str:
    why = f" Why: {text(one['reason'])}" if one.get("reason") else ""
    return f"- {code(one['id'])}: {text(one['what'])}{why} Effect: {text(one.get('effect') or 'not measured.')}"


def _recipe(sections: Sequence[Section]) -> Mapping[str, Any] | None:
    """The recipe, whose decisions and readings are the same at every scale."""
    return next((section.recipe for section in sections if section.recipe), None)
