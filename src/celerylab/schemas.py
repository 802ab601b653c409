"""JSON schemas of our files, published under docs/schemas so that an editor completes and checks them."""

import json
from typing import Any

from pydantic import BaseModel

from celerylab.course.quiz import Quiz
from celerylab.proof.record import Proof
from celerylab.topology.environment import Environment, Services
from celerylab.topology.module import CourseModule
from celerylab.topology.variants import Mutant
from celerylab.verify.results import Results

MODELS: dict[str, type[BaseModel]] = {
    "environment": Environment,
    "module": CourseModule,
    "mutant": Mutant,
    "proof": Proof,
    "quiz": Quiz,
    "results": Results,
    "services": Services,
}


def schema_text(name: str) -> str:
    """The schema called `name` as it is published."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **MODELS[name].model_json_schema(mode="serialization"),
    }
    return json.dumps(schema, indent=2) + "\n"
