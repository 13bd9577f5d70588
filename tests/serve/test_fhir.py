"""Bundles against the resource models of `fhir.resources`.

Its release 8 has models of R4B and R5. R4B (4.3.0) changed no element of Bundle, Observation, Device, Media and
OperationOutcome as they are used here from R4 (4.0.1), so these models stand for R4's.
"""

import importlib
import json

import numpy as np
import pytest


@pytest.fixture(scope="module")
def models():
    pytest.importorskip("fhir.resources")
    names = {"Bundle": "bundle", "Observation": "observation", "Device": "device", "Media": "media"}
    names["OperationOutcome"] = "operationoutcome"
    return {
        name: getattr(importlib.import_module(f"fhir.resources.R4B.{module}"), name) for name, module in names.items()
    }


@pytest.fixture
def bundle(client, sound):
    files = [
        ("f", ("101_1b1_Al_sc_Meditron.wav", sound())),
        ("f", ("silence.wav", sound(np.zeros(16_000)))),
        ("f", ("note.txt", b"no sound")),
    ]
    answer = client.post("/v1/predict?cycles=windows", files=files, headers={"Accept": "application/fhir+json"})
    assert answer.headers["content-type"] == "application/fhir+json"
    return answer.json()


def test_every_resource_is_valid(models, bundle):
    models["Bundle"].model_validate(bundle)
    for entry in bundle["entry"]:
        kind = entry["resource"]["resourceType"]
        models[kind].model_validate(entry["resource"])
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert {*kinds} == set(models) - {"Bundle"}


def test_the_models_would_find_faults(models, bundle):
    resource = next(each["resource"] for each in bundle["entry"] if each["resource"]["resourceType"] == "Observation")
    with pytest.raises(ValueError, match="status"):
        models["Observation"].model_validate({key: value for key, value in resource.items() if key != "status"})


def test_references_lead_to_entries(bundle):
    there = {entry["fullUrl"] for entry in bundle["entry"]}
    assert len(there) == len(bundle["entry"])
    text = json.dumps(bundle)
    referred = {part.split('"')[0] for part in text.split('"reference": "')[1:]}
    assert referred
    assert referred <= there


def test_it_says_what_json_says(client, sound, bundle):
    file = "101_1b1_Al_sc_Meditron.wav"
    result = client.post("/v1/predict?cycles=windows", files={"f": (file, sound())}).json()["recordings"][0]
    observations = [each["resource"] for each in bundle["entry"] if each["resource"]["resourceType"] == "Observation"]
    whole = next(each for each in observations if "hasMember" in each)
    assert len(whole["hasMember"]) == result["n_cycles"]
    assert whole["bodySite"]["text"] == "anterior left"
    assert whole["subject"]["identifier"]["value"] == "101"
    parts = {each["code"]["coding"][0]["code"]: each for each in whole["component"]}
    assert parts["p_wheeze"]["valueQuantity"]["value"] == result["p_wheeze"]
    assert parts["n_cycles"]["valueInteger"] == result["n_cycles"]
    members = [each["reference"].removeprefix("urn:uuid:") for each in whole["hasMember"]]
    by_id = {each["id"]: each for each in observations}
    for member, cycle in zip(members, result["cycles"], strict=True):
        values = {
            each["code"]["coding"][0]["code"]: each["valueQuantity"]["value"] for each in by_id[member]["component"]
        }
        assert values == {"start": cycle["start"], "end": cycle["end"]} | {
            f"p_{name}": value for name, value in cycle["probabilities"].items()
        }
        decision = by_id[member].get("valueCodeableConcept", {"coding": [{"code": "abstain"}]})["coding"][0]["code"]
        assert decision == cycle["decision"]


def test_nothing_is_final_and_everything_is_marked(bundle):
    observations = [each["resource"] for each in bundle["entry"] if each["resource"]["resourceType"] == "Observation"]
    assert {each["status"] for each in observations} == {"preliminary"}
    for each in (bundle, *observations):
        assert each["meta"]["tag"][0]["display"] == "Research use only, not a medical device."
    silent = [each for each in observations if "dataAbsentReason" in each]
    assert any(each["dataAbsentReason"]["text"] == "not judged" for each in silent)
