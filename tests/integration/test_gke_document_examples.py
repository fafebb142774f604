"""The examples in docs/gke.md are valid clusters and valid prices."""

import yaml

from support import ROOT, gke_double
from support.ansible_run import run_playbook
from support.documents import Document

DOCUMENT = Document(ROOT / "docs/gke.md")
CLUSTERS = [one for one in DOCUMENT.examples if "lists" not in one]
[PRICES] = [one for one in DOCUMENT.examples if "lists" in one]


def test_examples(tmp_path):
    hosts = {f"example-{number}": one for number, one in enumerate(CLUSTERS)}
    assert len(hosts) > 8
    prices = tmp_path / "prices.yml"
    prices.write_text(yaml.safe_dump(PRICES), encoding="utf-8")
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(
        yaml.safe_dump({"gke": {"hosts": hosts, "vars": {"gke_prices_file": str(prices)}}}),
        encoding="utf-8",
    )
    with gke_double.running(tmp_path) as google:
        run = run_playbook(
            f"--inventory={ROOT}/inventory/gke.yml",
            f"--inventory={inventory}",
            f"--limit={','.join(hosts)}",
            ROOT / "playbooks/plan.yml",
            **google.environment,
        ).ok()
        assert google.mutations() == []
    plans = [result["plan"] for name, result in run.tasks if "plan" in result]
    actions = {plan["cluster"]: {row["action"] for row in plan["rows"]} for plan in plans}
    assert actions == {name: {"create"} for name in hosts}
    # With the example of prices, no price of the default clusters is missing.
    assert "load balancers in europe-west1" not in {
        missing for plan in plans for missing in plan["missing"]
    }
