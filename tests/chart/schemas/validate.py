"""Validates rendered manifests against the strict schemas of several Kubernetes versions, and writes them as JSON.

    validate.py MANIFEST.yaml OBJECTS.json VERSION...

kubernetes-validate's own command only warns about a kind or an API that a version does not have; here that is a failure.
"""

import functools
import json
import sys

import yaml
from kubernetes_validate import utils


class Loader(yaml.SafeLoader):
    """YAML in which no key stands twice: Kubernetes would take one of the two and say nothing."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def named(thing):
    return f"{thing.get('apiVersion')} {thing.get('kind')} {thing.get('metadata', {}).get('name')}"


def problems(thing, version):
    try:
        utils.validate(thing, version, strict=True)
    except utils.ValidationError as error:
        path = ".".join(str(item) for item in error.path)
        yield f"Kubernetes {version}: {named(thing)}: {path}: {error.message}"
    except utils.SchemaNotFoundError:
        yield f"Kubernetes {version} has no {named(thing)}: removed, or never there"


def main(manifest, objects, versions):
    # Each version's definitions are read once, not once an object.
    utils.schema_contents = functools.cache(utils.schema_contents)
    known = {utils.major_minor(version) for version in utils.all_versions()}
    if unknown := set(versions) - known:
        sys.exit(f"no schemas of Kubernetes {', '.join(sorted(unknown))}")
    with open(manifest, encoding="utf-8") as file:
        try:
            things = [thing for thing in yaml.load_all(file, Loader) if thing]
        except yaml.YAMLError as error:
            sys.exit(f"{manifest}: {error}")
    found = [problem for thing in things for version in versions for problem in problems(thing, version)]
    if found or not things:
        sys.exit("\n".join(found) or f"{manifest} holds no object")
    with open(objects, "w", encoding="utf-8") as file:
        json.dump(things, file)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
