"""Run by the Python of a venv that has flytekit: ``flyte_example_driver.py PACKAGE FOLDER VOLUME``.

Goes through the nodes of the one workflow in a package that `pyflyte package` wrote, as a cluster does: every task runs in
a container of its own image, started with the command that was serialized, and gets what its node is bound to. All that
passes between them is in FOLDER, which containers see as VOLUME. Prints what ran, and where the files are that come out, as JSON.
"""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

from flyteidl.admin.launch_plan_pb2 import LaunchPlan
from flyteidl.admin.task_pb2 import TaskSpec
from flyteidl.admin.workflow_pb2 import WorkflowSpec
from flyteidl.core.literals_pb2 import BindingData, Literal, LiteralCollection, LiteralMap

_INDEX = {"BATCH_JOB_ARRAY_INDEX_VAR_NAME": "INDEX"}

package, folder, volume = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
with tarfile.open(package) as tar:
    files = {part.name: stream.read() for part in tar if (stream := tar.extractfile(part))}
tasks = {}
for name, data in files.items():
    if name.endswith("_1.pb"):
        template = TaskSpec.FromString(data).template
        tasks[template.id.name] = template
(workflow,) = (
    WorkflowSpec.FromString(data).template for name, data in files.items() if name.endswith("_2.pb")
)
(plan,) = (LaunchPlan.FromString(data).spec for name, data in files.items() if name.endswith("_3.pb"))
known = {"": {name: one.default for name, one in plan.default_inputs.parameters.items()}}


def bound(data: BindingData) -> Literal:
    """What a binding of a node means."""
    if data.HasField("promise"):
        return known[data.promise.node_id][data.promise.var]
    if data.HasField("collection"):
        return Literal(
            collection=LiteralCollection(literals=[bound(each) for each in data.collection.bindings])
        )
    return Literal(scalar=data.scalar)


def run(name: str, place: str, inputs: dict[str, Literal], **environ: str) -> dict[str, Literal]:
    """The outputs of a task, whose container sees ``place`` of the folder."""
    here = folder / place
    here.mkdir()
    (here / "inputs.pb").write_bytes(LiteralMap(literals=inputs).SerializeToString())
    container = tasks[name].container
    meant = {"{{.input}}": "inputs.pb", "{{.outputPrefix}}": "out", "{{.rawOutputDataPrefix}}": "raw"}
    words = [f"{volume}/{place}/{meant[word]}" if word in meant else word for word in container.args]
    variables = {**{one.key: one.value for one in container.env}, **environ}
    options = [word for key, value in variables.items() for word in ("-e", f"{key}={value}")]
    command = ["taskimage", "run", "--quiet", "-v", f"{folder}:{volume}", *options, container.image, "--"]
    subprocess.run([*command, *words], check=True, stdout=sys.stderr)
    if (here / "out" / "error.pb").exists():
        raise SystemExit((here / "out" / "error.pb").read_bytes().decode(errors="replace"))
    return dict(LiteralMap.FromString((here / "out" / "outputs.pb").read_bytes()).literals)


for node in workflow.nodes:
    inputs = {binding.var: bound(binding.binding) for binding in node.inputs}
    if node.HasField("array_node"):
        task = node.array_node.node.task_node.reference_id.name
        lengths = {len(each.collection.literals) for each in inputs.values() if each.HasField("collection")}
        parts = [run(task, f"{node.id}-{i}", inputs, **_INDEX, INDEX=str(i)) for i in range(*lengths)]
        known[node.id] = {
            name: Literal(collection=LiteralCollection(literals=[part[name] for part in parts]))
            for name in parts[0]
        }
    elif node.HasField("task_node"):
        known[node.id] = run(node.task_node.reference_id.name, node.id, inputs)
pictures = {binding.var: bound(binding.binding).scalar.blob.uri for binding in workflow.outputs}
ran = sorted(path.name for path in folder.iterdir())
sys.stdout.write(json.dumps({"outputs": pictures, "ran": ran}) + "\n")
