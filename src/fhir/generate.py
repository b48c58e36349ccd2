#!/usr/bin/env python3
"""Writes the tables beside this file from the official FHIR packages (CC0-1.0).

    generate.py PACKAGES            write them; PACKAGES is a folder with hl7.fhir.r4.core-4.0.1.tgz and
                                    hl7.fhir.us.core-{6.1.0,7.0.0,8.0.0}.tgz
    generate.py PACKAGES --check    write nothing; print the differences and exit 1 if there are any

A table is tab-separated text in blocks: a line `= key ...` opens a block, its rows follow. Blocks are sorted by key.
"""
import difflib, json, pathlib, re, sys, tarfile

HERE = pathlib.Path(__file__).parent
CORE = "hl7.fhir.r4.core", "4.0.1"
US_CORE = [("hl7.fhir.us.core", version) for version in ("6.1.0", "7.0.0", "8.0.0")]
SYSTEM_TYPE = "http://hl7.org/fhirpath/System."
# Codes that may not be copied freely: a value set that quotes them is treated as open.
LICENSED = {"http://snomed.info/sct", "http://www.ama-assn.org/go/cpt"}


def read_package(folder, name, version):
    """{resource type: {canonical: resource}}; examples are left out."""
    resources = {}
    with tarfile.open(folder / f"{name}-{version}.tgz") as archive:
        for member in archive.getmembers():
            if re.fullmatch(r"package/[A-Z][A-Za-z]+-[^/]+\.json", member.name):
                resource = json.load(archive.extractfile(member))
                resources.setdefault(resource["resourceType"], {})[resource.get("url", resource["id"])] = resource
    return resources


def table(title, package, columns, blocks):
    """The text of one table. `blocks` maps a header (key first) to rows of cells; empty cells at the end are cut."""
    lines = [f"# {title}", f"# From {' '.join(package)}, licence CC0-1.0. Written by generate.py; do not edit.", f"# {columns}"]
    for head, rows in sorted(blocks.items()):
        lines.append("= " + "\t".join(head))
        lines += ["\t".join(row).rstrip("\t") for row in rows]
    return "\n".join(lines) + "\n"


# Elements -------------------------------------------------------------------------------------------------------


def element_types(element, core):
    """`Quantity,Reference(Patient|Group)`; a profiled target counts as its type, `Resource` as no limit."""
    names = []
    for kind in element.get("type", []):
        code = kind["code"]
        if code.startswith(SYSTEM_TYPE):
            hint = (x.get("valueUrl") or x.get("valueUri") for x in kind.get("extension", []))
            # R4 says `string` for the ids of resources too; their type is `id`.
            is_resource_id = re.fullmatch(r"[A-Z]\w*\.id", element["path"]) and element["path"][:-3] in resource_names(core)
            code = "id" if is_resource_id else next(hint, "string")
        targets = list(dict.fromkeys(target_type(url, core) for url in kind.get("targetProfile", [])))
        names.append(code if not targets or "Resource" in targets else f"{code}({'|'.join(targets)})")
    return ",".join(names)


def resource_names(core):
    return {sd["type"] for sd in core["StructureDefinition"].values() if sd["kind"] == "resource"}


def target_type(url, core):
    """The resource type a target profile constrains."""
    known = core["StructureDefinition"].get(url.split("|")[0])
    return known["type"] if known else url.split("/")[-1]


def required(element):
    binding = element.get("binding", {})
    return binding.get("valueSet", "").split("|")[0] if binding.get("strength") == "required" else ""


def definitions(core):
    """The types of R4: no profiles, no logical models."""
    return [sd for sd in core["StructureDefinition"].values() if sd["kind"] != "logical" and sd.get("derivation") != "constraint"]


def elements_table(core):
    blocks, heads = {}, {}
    for sd in definitions(core):
        kind = sd["kind"].removesuffix("-type")
        heads[sd["type"]] = "abstract-" + kind if sd.get("abstract") else kind
        blocks[sd["type"]] = []
        for element in sd["snapshot"]["element"]:
            path = element["path"]
            if "." not in path or (kind == "primitive" and path.endswith(".value")):
                continue  # the type itself; a primitive's value is the JSON value, not a member
            parent = path.rsplit(".", 1)[0]
            heads.setdefault(parent, "nested")
            reference = element.get("contentReference", "")
            types = reference[reference.find("#"):] if reference else element_types(element, core)
            flags = ("s" if element.get("isSummary") else "") + ("m" if element.get("isModifier") else "")
            blocks.setdefault(parent, []).append((path, f"{element['min']}..{element['max']}", types, flags, required(element)))
    return table("Elements of FHIR R4 by type path, in FHIR order.", CORE,
                 "= type path, kind; rows: path, cardinality, types, flags (s: in summary, m: modifier), required value set",
                 {(path, heads[path]): rows for path, rows in blocks.items()})


# Code lists -----------------------------------------------------------------------------------------------------


def closed_codes(url, packages, seen=()):
    """[(system, code)] of a value set whose every code is known, else None."""
    url = url.split("|")[0]
    value_set = lookup("ValueSet", url, packages)
    if not value_set or url in seen:
        return None
    found = []
    for part in value_set.get("compose", {}).get("include", []):
        if part.get("filter") or part.get("system") in LICENSED:
            return None
        for other in part.get("valueSet", []):
            inner = closed_codes(other, packages, seen + (url,))
            if inner is None:
                return None
            found += inner
        if part.get("concept"):
            found += [(part["system"], concept["code"]) for concept in part["concept"]]
        elif part.get("system"):
            system = lookup("CodeSystem", part["system"], packages)
            if not system or system.get("content") != "complete":
                return None
            found += [(part["system"], code) for code in all_codes(system.get("concept", []))]
    gone = set()
    for part in value_set.get("compose", {}).get("exclude", []):
        if not part.get("concept"):
            return None
        gone |= {(part["system"], concept["code"]) for concept in part["concept"]}
    return [code for code in dict.fromkeys(found) if code not in gone] or None


def lookup(kind, url, packages):
    return next((p[kind][url] for p in packages if url in p.get(kind, {})), None)


def all_codes(concepts):
    for concept in concepts:
        yield concept["code"]
        yield from all_codes(concept.get("concept", []))


def code_rows(codes):
    """One row per system: the system, then its codes."""
    systems = {}
    for system, code in codes:
        systems.setdefault(system, [system]).append(code)
    return list(systems.values())


def codes_table(core):
    wanted = {required(e) for sd in definitions(core) for e in sd["snapshot"]["element"]} - {""}
    closed = {url: closed_codes(url, [core]) for url in wanted}
    return table("Closed code lists of the value sets FHIR R4 binds as required.", CORE,
                 "= value set; rows: code system, codes",
                 {(url,): code_rows(codes) for url, codes in closed.items() if codes})


# Search parameters and the Patient compartment ------------------------------------------------------------------


def own_parts(expression, base):
    """Of an expression shared by many types, what speaks of `base`."""
    parts = [part.strip() for part in re.split(r"\|(?![^(]*\))", expression)]
    return " | ".join(p for p in parts if p == base or p.lstrip("(").startswith(base + ".")) or expression


def search_parameters(core):
    """{type: {code: parameter}}; the package's examples are left out."""
    found = {}
    for url, parameter in sorted(core["SearchParameter"].items()):
        expression = parameter.get("expression", "")
        if "/example" in url or "http://example.org" in expression:
            continue
        for base in parameter.get("base", []):
            if expression or base in ("Resource", "DomainResource"):
                found.setdefault(base, {})[parameter["code"]] = parameter
    return found


SEARCH_COLUMNS = ("= resource type; rows: code, type, target types, FHIRPath expression, canonical, of a composite: "
                  "type and expression of each part")


def search_rows(base, parameters, core):
    kinds = {url: p["type"] for url, p in core["SearchParameter"].items()}
    # The package writes one type as no type is written.
    part = lambda c: kinds[c["definition"]] + " " + c["expression"].replace("as(DateTime)", "as(dateTime)")
    return [(code, p["type"], "|".join(p.get("target", [])), own_parts(p.get("expression", ""), base), p["url"],
             ";".join(map(part, p.get("component", []))))
            for code, p in sorted(parameters.items())]


def search_table(core):
    blocks = {(base,): search_rows(base, found, core) for base, found in search_parameters(core).items()}
    return table("Search parameters of FHIR R4 by resource type.", CORE, SEARCH_COLUMNS, blocks)


def us_core_search_table(packages, core):
    """What US Core adds to R4, in the words of the newest version that has it."""
    known, blocks = search_parameters(core), {}
    for us in packages:
        for base, parameters in search_parameters(us).items():
            more = {code: p for code, p in parameters.items() if not any(code in known.get(b, {}) for b in (base, "Resource"))}
            if more:
                blocks.setdefault((base,), {}).update(more)
    versions = US_CORE[0][0], ", ".join(version for _, version in US_CORE)
    return table("Search parameters that US Core adds to those of FHIR R4, by resource type.", versions, SEARCH_COLUMNS,
                 {base: search_rows(base[0], parameters, core) for base, parameters in blocks.items()})


def compartment_table(core):
    parameters = search_parameters(core)
    compartment = next(c for c in core["CompartmentDefinition"].values() if c["code"] == "Patient")
    blocks = {}
    for entry in compartment["resource"]:
        if entry.get("param"):
            base, paths = entry["code"], []
            for code in entry["param"]:
                for part in own_parts(parameters[base][code]["expression"], base).split(" | "):
                    path = re.match(r"\(?" + base + r"\.([A-Za-z.]+?)(?=\.where|\.as|\.ofType| as |\)|$)", part)
                    paths.append((path.group(1),))
            blocks[(base,)] = list(dict.fromkeys(paths))
    return table("The Patient compartment of FHIR R4: element paths that lead to the patient, in the definition's order.", CORE,
                 "= resource type; rows: element path", blocks)


# Profiles -------------------------------------------------------------------------------------------------------


def profile_rows(sd, us, core, base_elements):
    """What the snapshot says beyond base R4, one row per element id."""
    rows = []
    values = {sd["type"] + ".value" for sd in definitions(core) if sd["kind"] == "primitive-type"}
    sliced = {e["id"].rsplit(":", 1)[0] for e in sd["snapshot"]["element"] if e.get("sliceName")}
    for element in sd["snapshot"]["element"]:
        if "." not in element["id"] or element["base"]["path"] in values:
            continue
        path = element["id"].split(".", 1)[1]
        base = base_elements[element["base"]["path"]]
        facts = []
        narrowed = element_types(element, us_and_core(us, core))
        if narrowed and words(narrowed) != words(element_types(base, core)):
            facts.append("types=" + narrowed)
        profiles = [url for kind in element.get("type", []) for url in kind.get("profile", [])]
        if profiles and profiles != [url for kind in base.get("type", []) for url in kind.get("profile", [])]:
            facts.append("profile=" + "|".join(profiles))
        for key, value in element.items():
            for form in ("fixed", "pattern"):
                if re.fullmatch(form + r"[A-Z]\w*", key):
                    facts.append(f"{form}=" + json.dumps(value, ensure_ascii=False, separators=(",", ":")))
        if required(element) and required(element) != required(base):
            facts.append("codes=" + required(element))
        if element["id"] in sliced and "slicing" in element:
            by = [f"{d['type']}:{d['path']}" for d in element["slicing"].get("discriminator", [])]
            facts.append("slicing=" + ",".join(by))
        cardinality = element["min"], element["max"]
        flags = ("M" if element["min"] > base["min"] else "") + ("S" if element.get("mustSupport") else "")
        if facts or flags or element.get("sliceName") or cardinality != (base["min"], base["max"]):
            rows.append((path, f"{element['min']}..{element['max']}", flags, *facts))
        if element.get("sliceName") and re.search(r"xtension:[^.]*$", path) and profiles:
            # A slice of extensions is known by its url.
            rows.append((path + ".url", "1..1", "", "fixed=" + json.dumps(profiles[0])))
    return rows


def words(types):
    """What a list of types says, whatever its order."""
    return {(code, frozenset(targets.split("|"))) for code, targets in re.findall(r"(\w+)(?:\(([^)]*)\))?", types)}


def us_and_core(us, core):
    return {"StructureDefinition": core["StructureDefinition"] | us["StructureDefinition"]}


def profiles_table(package, us, core):
    base_elements = {e["path"]: e for sd in definitions(core) for e in sd["snapshot"]["element"]}
    core_lists = {required(e) for e in base_elements.values()}
    blocks, wanted = {}, set()
    for url, sd in us["StructureDefinition"].items():
        blocks[(url, sd["type"], sd.get("title", sd["name"]))] = profile_rows(sd, us, core, base_elements)
        wanted |= {required(e) for e in sd["snapshot"]["element"]} - core_lists - {""}
    title = f"Profiles and extensions of US Core {package[1]}: what they say beyond base R4."
    columns = ("= canonical, type, title; rows: element id, cardinality, flags (M: mandatory, unlike in R4; S: must support), facts. "
               "Codes of LOINC quoted here keep their owner's terms.")
    closed = {url: closed_codes(url, [us, core]) for url in wanted}
    lists = table(f"Closed code lists of the value sets US Core {package[1]} binds as required.", package,
                  "= value set; rows: code system, codes. Codes of LOINC quoted here keep their owner's terms.",
                  {(url,): code_rows(codes) for url, codes in closed.items() if codes})
    return table(title, package, columns, blocks), lists


def tables(folder):
    core = read_package(folder, *CORE)
    yield "r4/elements.tsv", elements_table(core)
    yield "r4/codes.tsv", codes_table(core)
    yield "r4/search.tsv", search_table(core)
    yield "r4/compartment.tsv", compartment_table(core)
    packages = [read_package(folder, *package) for package in US_CORE]
    yield "profiles/us-core-search.tsv", us_core_search_table(packages, core)
    for package, us in zip(US_CORE, packages):
        profiles, lists = profiles_table(package, us, core)
        yield f"profiles/us-core-{package[1]}.tsv", profiles
        yield f"profiles/us-core-{package[1]}-codes.tsv", lists


def main(arguments):
    check = "--check" in arguments
    folders = [a for a in arguments if a != "--check"]
    if len(folders) != 1:
        sys.exit(__doc__)
    drift = False
    for name, text in tables(pathlib.Path(folders[0])):
        file = HERE / name
        if check:
            committed = file.read_text(encoding="utf-8") if file.exists() else ""
            difference = list(difflib.unified_diff(committed.splitlines(), text.splitlines(), name, "packages", lineterm="", n=0))
            drift = drift or bool(difference)
            print("\n".join(difference[:40])) if difference else None
        else:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
    sys.exit(1 if drift else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
