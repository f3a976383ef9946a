"""Run by the Python of a venv that has flyte: ``flyte2_driver.py MODULE.ATTRIBUTE FOLDER``.

Builds the image of a task's environment as `flyte.build_images` does, writes the inputs of the task to FOLDER, and
prints what a container of that task would be started with.
"""

import asyncio
import importlib
import json
import sys
from pathlib import Path

import flyte
from flyte._internal.runtime.convert import convert_from_native_to_inputs
from flyte._internal.runtime.task_serde import translate_task_to_wire
from flyte.models import SerializationContext

KNOWN = {
    "{{.rawOutputDataPrefix}}": "/data/raw",
    "{{.checkpointOutputPrefix}}": "/data/checkpoint",
    "{{.prevCheckpointPrefix}}": '""',
    "{{.runName}}": "run",
    "{{.actionName}}": "a0",
}

sys.path.insert(0, "")
flyte.init(image_builder="taskimage", root_dir=Path.cwd())
module, _, name = sys.argv[1].rpartition(".")
task = getattr(importlib.import_module(module), name)
folder = Path(sys.argv[2])
images = flyte.build_images(task.parent_env())
context = SerializationContext(
    version="v1", root_dir=Path.cwd(), image_cache=images, code_bundle=None, project="p", domain="d", org="o",
    input_path="/data/inputs.pb", output_path="/data",
)  # fmt: skip
container = translate_task_to_wire(task, context).task_template.container
inputs = asyncio.run(convert_from_native_to_inputs(task.native_interface, x=41))
(folder / "inputs.pb").write_bytes(inputs.proto_inputs.SerializeToString())
words = [KNOWN.get(word, word) for word in (*container.command, *container.args)]
answer = {"image": container.image, "words": words, "uri": task.parent_env().image.uri}
sys.stdout.write(json.dumps(answer) + "\n")
