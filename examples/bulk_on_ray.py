"""A dataset of prompts becomes one of answers, on two actors of a local Ray: ``pip install "opeai_async[ray]"``."""

import importlib
import importlib.util
import json
import os
from typing import Any

from opeai_async.ray import ChatBatches
from opeai_async.testing import OpeAIServer

ROWS = 200


def main() -> None:
    """Run, against the server that the environment names, or else the testing server."""
    if importlib.util.find_spec("ray") is None:
        print("ray is not installed")
        return
    if "OPEAI_BASE_URL" in os.environ:
        run()
        return
    with OpeAIServer() as server:
        os.environ["OPEAI_BASE_URL"], os.environ["OPEAI_API_KEY"] = server.base_url, str(server.api_key)
        run()


def run() -> None:
    """Answer the rows, and print how many there are."""
    ray: Any = importlib.import_module("ray")
    data: Any = importlib.import_module("ray.data")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    rows = data.from_items([{"id": number, "text": f"question {number}"} for number in range(ROWS)])
    answered = rows.map_batches(
        ChatBatches,
        fn_constructor_kwargs={"prompt": "{text}", "defaults": {"model": "deepseek-v4-flash"}, "actors": 2},
        compute=data.ActorPoolStrategy(size=2),
        batch_size=50,
    ).take_all()
    counts = {"rows": len(answered), "answered": sum(row["error"] is None for row in answered)}
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
