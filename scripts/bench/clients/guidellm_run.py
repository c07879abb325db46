"""`guidellm` itself, on the golden server.

python guidellm_run.py URL STREAMS TOKENS SECONDS TOKENIZER

Prints what its report says of each request that succeeded, as JSON.
"""

import json
import os
import subprocess
import sys
import tempfile

url, streams, tokens, seconds, tokenizer = sys.argv[1:6]
program = os.path.join(os.path.dirname(sys.executable), "guidellm")
with tempfile.TemporaryDirectory() as directory:
    report = os.path.join(directory, "report.json")
    subprocess.run([
        program, "run", "--disable-console",
        "--backend", f"kind=openai_http,target={url},model=golden",
        "--profile", f"kind=concurrent,streams={streams}",
        "--constraint", f"kind=max_duration,seconds={seconds}",
        "--data", f"kind=synthetic_text,prompt_tokens=8,output_tokens={tokens}",
        "--tokenizer", f"kind=hf_auto,model={tokenizer}",
        "--output", f"kind=json,path={report}",
    ], check=True, stdout=sys.stderr)  # fmt: skip
    with open(report, encoding="utf-8") as file:
        done = json.load(file)["benchmarks"][0]["requests"]["successful"]
print(json.dumps({
    "completed": len(done),
    "ttftMs": [one["time_to_first_token_ms"] for one in done],
}))  # fmt: skip
