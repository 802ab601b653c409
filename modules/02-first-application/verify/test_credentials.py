"""02.3: who may talk to the broker, and where its password is not."""

import shlex

from celerylab.verify.credentials import ACCEPTED, DEFAULT_CREDENTIALS, try_urls
from celerylab.verify.evidence import scrub
from celerylab.verify.expect import expect
from celerylab.verify.hosts import OBSERVER, ObservedHost
from celerylab.verify.plugin import objective
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WORKER_UNIT


@objective("02.3")
def test_default_credentials_are_refused_on_the_worker_host(node: ObservedHost, stack: Stack) -> None:
    answers = _answers(stack, f"127.0.0.1:{stack.broker.port}", node)
    _expect_only_the_worker(answers, "from the worker's own host", stack)


@objective("02.3")
def test_default_credentials_are_refused_from_another_host(stack: Stack) -> None:
    # The gateway is another host of the lab's network: the broker sees its address, and protected modes for loopback do not apply.
    answers = _answers(stack, stack.endpoint("broker"), None)
    _expect_only_the_worker(answers, "from another host", stack)


@objective("02.3")
def test_password_is_in_no_process_list_unit_or_journal(node: ObservedHost, stack: Stack) -> None:
    places = {
        "the process list": node.check_output("ps -eo args ww"),
        "the unit": node.check_output("systemctl cat %s", WORKER_UNIT) + node.check_output("systemctl show %s", WORKER_UNIT),
        "the journal": node.check_output("journalctl --no-pager --output=cat"),
    }
    # Positive control: each text is what it says it is, so an absence in it means something.
    expect(
        "celery" in places["the process list"] and "ExecStart=" in places["the unit"] and WORKER_UNIT in places["the journal"],
        observed="; ".join(f"{place}: {len(text)} characters" for place, text in places.items()),
        expected=f"a worker's process, its unit and journal lines about {WORKER_UNIT}",
        look="celerylab logs 02",
    )
    found = [place for place, text in places.items() if stack.secrets["broker_password"] in text]
    expect(
        not found,
        observed=f"the broker's password stands in {' and '.join(found)}",
        expected="in none of process list, unit file and journal",
        look=f"celerylab shell 02 -- systemctl cat {WORKER_UNIT}",
        found=found,
    )


@objective("02.3")
def test_environment_file_is_not_world_readable(node: ObservedHost, stack: Stack) -> None:
    listed = node.check_output("systemctl show --property=EnvironmentFiles --value %s", WORKER_UNIT).splitlines()
    files = sorted({line.split(" (")[0] for line in listed if line})
    expect(
        files,
        observed="the unit reads no environment file",
        expected="a file such as /etc/celery/celery.env",
        look=f"systemctl cat {WORKER_UNIT}",
    )
    modes = {path: node.check_output("stat --format=%s %s", "%a", path) for path in files if node.file(path).exists}
    private = [path for path, mode in modes.items() if not int(mode[-1], 8) & 4]
    telling = [path for path in modes if stack.secrets["broker_password"] in node.run("cat %s", path).stdout]
    expect(
        private and not telling,
        observed=f"as {OBSERVER}, who is nobody, the password can be read in {' and '.join(telling)}"
        if telling
        else f"everybody can read {' and '.join(modes) or 'nothing: none of ' + ', '.join(files) + ' exists'}",
        expected="an environment file of mode 0640 or less, and the password nowhere else",
        look="celerylab shell 02 -- ls -l " + shlex.join(files),
    )


def _answers(stack: Stack, address: str, host: ObservedHost | None) -> dict[str, str]:
    """First the worker's own credentials, as the positive control, then what a stranger tries."""
    strangers = [url.format(address=address) for url in DEFAULT_CREDENTIALS[stack.broker_name]]
    return try_urls([stack.broker_url(address), *strangers], host)


def _expect_only_the_worker(answers: dict[str, str], where: str, stack: Stack) -> None:
    own, *strangers = answers
    expect(
        answers[own] == ACCEPTED,
        observed=f"{where}, the worker's own credentials are {scrub(answers[own], stack.secrets)}",
        expected="that the broker accepts them (else a refusal of others would mean nothing)",
        look=f"celerylab logs 02 -u {stack.broker.unit}",
    )
    accepted = [url for url in strangers if answers[url] == ACCEPTED]
    expect(
        not accepted,
        observed=f"{where}, the broker accepts {' and '.join(accepted)}",
        expected="that it refuses everybody but the worker's user",
        look=f"celerylab shell 02 -- systemctl cat {stack.broker.unit}",
        accepted=len(accepted),
    )
