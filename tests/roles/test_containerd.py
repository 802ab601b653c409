"""containerd on an unbaked host. That it runs pods, tests/live/test_cluster.py shows."""

import subprocess

ROLE = "containerd"


def test_it_runs_and_starts_at_boot(scenario):
    service = scenario.host.service("containerd")
    assert service.is_running
    assert service.is_enabled


def test_its_configuration_is_in_force(scenario):
    dumped = scenario.host.check_output("containerd config dump")
    assert 'sandbox_image = "registry.k8s.io/pause:3.10.1"' in dumped
    assert "SystemdCgroup = false" in dumped
    assert "disable_apparmor = true" in dumped


def test_the_plug_ins_are_where_it_looks_for_them(scenario):
    assert scenario.host.file("/usr/lib/cni/bridge").is_file
    assert 'bin_dir = "/usr/lib/cni"' in scenario.host.check_output("containerd config dump")


def test_another_configuration_is_in_force_at_once(scenario):
    run = scenario.converge(containerd_sandbox_image="registry.example.com/pause:1")
    assert run.changed == ["containerd : Write the configuration", "containerd : Start containerd and enable it at boot"]
    assert 'sandbox_image = "registry.example.com/pause:1"' in scenario.host.check_output("containerd config dump")
    assert scenario.converge().code == 0


def test_a_path_that_is_no_archive_is_refused(scenario):
    run = scenario.converge(containerd_image_archives=["images/app.tar"], fails=True)
    assert "write absolute paths that end in .tar, not images/app.tar" in run.output


def test_an_image_that_the_host_brings_along_is_loaded_once(scenario, bare_image, tmp_path):
    archive = tmp_path / "tiny.tar"
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    subprocess.run(["docker", "build", "--quiet", "--tag", "celerylab.test/tiny:1", str(context)], check=True, capture_output=True)
    subprocess.run(["docker", "save", "--output", str(archive), "celerylab.test/tiny:1"], check=True)
    subprocess.run(["docker", "rmi", "celerylab.test/tiny:1"], check=True, capture_output=True)
    subprocess.run(["docker", "cp", str(archive), f"{scenario.container}:/usr/local/share/containerd-images/tiny.tar"], check=True)
    scenario.host.check_output("systemctl restart containerd-images")
    assert "celerylab.test/tiny:1" in scenario.host.check_output("ctr --namespace k8s.io images list --quiet")
    scenario.host.check_output("ctr --namespace k8s.io images remove celerylab.test/tiny:1")
    scenario.host.check_output("systemctl restart containerd-images")
    assert "celerylab.test/tiny:1" not in scenario.host.check_output("ctr --namespace k8s.io images list --quiet")
