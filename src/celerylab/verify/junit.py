"""JUnit XML of a verification: FAIL is a failure, NOT_OBSERVED an error, so that no reader takes trouble of the harness for a grade."""

from pathlib import Path
from xml.etree import ElementTree as Xml

from celerylab.verify.results import Results, Verdict


def write_junit(results: Results, path: Path | str) -> None:
    """Writes `results` to `path`: one test case per objective."""
    suite = Xml.Element(
        "testsuite",
        name=f"module {results.module}",
        tests=str(len(results.objectives)),
        failures=str(results.count(Verdict.FAIL)),
        errors=str(results.count(Verdict.NOT_OBSERVED)),
        time=f"{results.seconds:.1f}",
        timestamp=results.started.isoformat(timespec="seconds"),
    )
    for objective in results.objectives:
        case = Xml.SubElement(suite, "testcase", classname=f"module{results.module}", name=objective.id, time=f"{objective.seconds:.2f}")
        if objective.verdict is Verdict.FAIL:
            Xml.SubElement(case, "failure", message=f"observed: {objective.observed}; expected: {objective.expected}")
        elif objective.verdict is Verdict.NOT_OBSERVED:
            Xml.SubElement(case, "error", message=objective.cause)
    Xml.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
