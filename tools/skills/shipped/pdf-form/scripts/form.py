"""Lists the fields of a PDF form, or fills them in and reads them back."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

try:
    from pypdf import PdfReader, PdfWriter
    from pypdf.errors import PyPdfError
except ImportError:
    sys.exit('pypdf is missing: pip install "qwenbelt[skills]"')

KINDS = {"/Tx": "text", "/Btn": "check", "/Ch": "choice", "/Sig": "signature"}
_REQUIRED, _READ_ONLY, _RADIO, _PUSH, _MANY = 1 << 1, 1, 1 << 15, 1 << 16, 1 << 21


def fields_of(reader: PdfReader) -> dict[str, dict[str, Any]]:
    """Returns what is known of each field by its full name."""
    found: dict[str, dict[str, Any]] = {}
    for name, field in (reader.get_fields() or {}).items():
        kind = KINDS.get(str(field.get("/FT")), "")
        flags = int(field.get("/Ff", 0) or 0)
        if not kind or (kind == "check" and flags & _PUSH):
            continue
        entry: dict[str, Any] = {"kind": kind, "value": shown(field.get("/V"))}
        if kind == "check":
            states = [str(state) for state in field.get("/_States_", [])]
            entry["states"] = [state for state in states if state != "/Off"]
            if flags & _RADIO or len(entry["states"]) > 1:
                entry["kind"] = "radio"
        if kind == "choice":
            entry["choices"] = [choice(option) for option in field.get("/Opt", [])]
        if field.get("/TU"):
            entry["label"] = str(field["/TU"])
        entry["required"] = bool(flags & _REQUIRED)
        entry["read_only"] = bool(flags & _READ_ONLY)
        found[name] = entry
    for number, page in enumerate(reader.pages, 1):
        for link in page.get("/Annots") or []:
            widget = link.get_object()
            name = full_name(widget)
            if name in found:
                found[name].setdefault("page", number)
                if "/MaxLen" in widget:
                    found[name]["longest"] = int(widget["/MaxLen"])
    return found


def full_name(widget: Any) -> str:
    """Returns the name of a widget's field with those above it."""
    parts: list[str] = []
    for _ in range(32):
        if "/T" in widget:
            parts.insert(0, str(widget["/T"]))
        if "/Parent" not in widget:
            break
        widget = widget["/Parent"].get_object()
    return ".".join(parts)


def choice(option: Any) -> str:
    """Returns a choice's value."""
    return str(option[0]) if isinstance(option, list) else str(option)


def shown(value: Any) -> Any:
    """Returns a value as JSON takes it."""
    if value is None:
        return None
    if isinstance(value, list):
        return [str(entry) for entry in value]
    text = str(value)
    return {"/Off": False}.get(text, text.removeprefix("/"))


def checked(fields: dict[str, dict[str, Any]], values: dict[str, Any]) -> dict[str, str]:
    """Returns the values as the form takes them, or ends with what is wrong with them."""
    wrong, out = [], {}
    for name, value in values.items():
        field = fields.get(name)
        if field is None:
            wrong.append(f"There is no field {name!r}. Fields: {', '.join(list(fields)[:60])}")
        elif field["kind"] == "signature":
            wrong.append(f"{name}: a signature is not filled in.")
        elif field["read_only"]:
            wrong.append(f"{name}: is read-only.")
        elif isinstance(value, (dict, list)):
            wrong.append(f"{name}: takes one value.")
        else:
            text, fault = taken(field, value)
            if fault:
                wrong.append(f"{name}: {fault}")
            out[name] = text
    if wrong:
        sys.exit("\n".join(wrong))
    return out


def taken(field: dict[str, Any], value: Any) -> tuple[str, str]:
    """Returns a value as the form takes it, and what is wrong with it."""
    if field["kind"] in ("check", "radio"):
        states = field["states"]
        if value is False or value is None:
            return "/Off", ""
        if value is True and field["kind"] == "check" and states:
            return states[0], ""
        text = "/" + str(value).removeprefix("/")
        return text, "" if text in states else f"takes {', '.join(s[1:] for s in states)}."
    text = "" if value is None else str(value)
    if field["kind"] == "choice" and field["choices"] and text not in field["choices"]:
        return text, f"takes {', '.join(field['choices'])}."
    if len(text) > field.get("longest", len(text)):
        return text, f"takes at most {field['longest']} characters."
    return text, ""


def fill(reader: PdfReader, values: dict[str, str], out: Path) -> None:
    """Writes the form with the values."""
    writer = PdfWriter(clone_from=reader)
    for page in writer.pages:
        if "/Annots" in page:
            writer.update_page_form_field_values(page, dict(values), auto_regenerate=False)
    writer.set_need_appearances_writer(True)
    with out.open("wb") as file:
        writer.write(file)


def main() -> None:
    """Reads the command line, lists the fields or fills them in."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("form", type=Path)
    parser.add_argument("--values", help="a JSON object, or a file with one")
    parser.add_argument("--out", type=Path, default=Path("filled.pdf"))
    given = parser.parse_args()
    try:
        reader = PdfReader(given.form)
        if reader.is_encrypted and not reader.decrypt(""):
            sys.exit(f"{given.form}: is locked with a password.")
        fields = fields_of(reader)
    except (OSError, PyPdfError, ValueError) as error:
        sys.exit(f"{given.form}: cannot be read as a PDF ({error}).")
    form = reader.trailer["/Root"].get("/AcroForm")
    if form is not None and "/XFA" in form.get_object():
        print("Note: it has an XFA form as well, which is not filled in.")
    if not fields:
        sys.exit(f"{given.form}: has no form fields. It may be a scan: overlay text instead.")
    if given.values is None:
        print(json.dumps(fields, ensure_ascii=False, indent=1))
        return
    path = Path(given.values)
    text = given.values if given.values.lstrip().startswith("{") else path.read_text("utf-8-sig")
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        sys.exit(f"--values is not JSON ({error}).")
    if not isinstance(values, dict):
        sys.exit("--values must be a JSON object.")
    wanted = checked(fields, values)
    fill(reader, wanted, given.out)
    now = fields_of(PdfReader(given.out))
    bad = []
    for name, text in wanted.items():
        print(f"{name}: {now[name]['value']}")
        if now[name]["value"] != shown(text) and not (text == "/Off" and not now[name]["value"]):
            bad.append(name)
    empty = [n for n, f in now.items() if f["required"] and f["value"] in (None, "", False)]
    if empty:
        print(f"Must be filled in and are empty: {', '.join(empty)}")
    if bad:
        sys.exit(f"Not taken: {', '.join(bad)}")
    print(given.out)


if __name__ == "__main__":
    main()
