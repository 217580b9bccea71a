# SPDX-License-Identifier: Apache-2.0
"""Programs from Debian's packages, and something for each of them to do."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

SQL = """
create table t(a integer primary key, b text, c real);
create index i on t(b);
with recursive n(x) as (select 1 union all select x+1 from n where x < 20000)
  insert into t select x, 'name' || (x * 7919 % 10007), x / 3.0 from n;
select count(*), sum(a), max(b), round(avg(c), 3) from t;
select substr(b, 1, 5) as p, count(*) from t group by p order by 2 desc, 1 limit 10;
update t set b = upper(b) where a % 3 = 0;
delete from t where a % 5 = 0;
select b, group_concat(a) from t group by b having count(*) > 1 order by b limit 5;
select json_group_array(a) from (select a from t where a < 30);
"""

LUA = """
local t = {}
for i = 1, 20000 do t[i] = {name = "n" .. i, value = i * i % 1009} end
table.sort(t, function(x, y) return x.value < y.value or (x.value == y.value and x.name < y.name) end)
print(t[1].name, t[#t].name, #t)
local words = {}
for w in (("the quick brown fox "):rep(500)):gmatch("%a+") do words[w] = (words[w] or 0) + 1 end
print(words.quick, words.fox)
local co = coroutine.wrap(function() for i = 1, 1000 do coroutine.yield(("x"):rep(i)) end end)
local sum = 0
for i = 1, 1000 do sum = sum + #co() end
print(sum, pcall(error, "thrown"))
t = nil
collectgarbage()
print(select("#", string.byte(("y"):rep(200), 1, -1)))
"""

BASH = r"""
declare -A count
for i in {1..3000}; do k=$((i * 7919 % 97)); count[$k]=$(( ${count[$k]:-0} + i )); done
for k in 3 14 15 92 65; do echo "$k ${count[$k]}"; done
s=""; for i in {1..500}; do s+="word$i "; done
for w in $s; do [[ $w =~ ^word(.*)7$ ]] && t+="${BASH_REMATCH[1]},"; done; echo "$t"
x=$(echo from a subshell | { read -r line; echo "${line^^}"; }); echo "$x"
f() { local a=("$@"); printf '%s;' "${a[@]:1:3}"; echo; }; f one two three four five
case abc in a*) echo glob;; esac
exit 7
"""

JQ = ("group_by(.v % 10) | map({k: (.[0].v % 10), n: length, s: (map(.v) | add),"
      " t: (map(.tags[]) | unique | join(\"-\"))})")

GIT_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@b", "GIT_PAGER": "cat",
    "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z",
}

NAMES = ["sqlite3", "lua5.4", "jq", "bash", "git"]


@dataclass(frozen=True)
class RealProgram:
    command: list[str]  # the first is a path
    environment: dict[str, str] = field(default_factory=dict)
    least_output: int = 1          # bytes
    output_function: str = "write"  # what it calls for its first output


def prepare(name: str, folder: Path) -> RealProgram:
    """Its input is written into the folder. An AssertionError says what is not installed."""
    program = shutil.which(name)
    if program is None:
        raise AssertionError(f"{name} is not installed")

    def file(file_name: str, text: str) -> str:
        path = folder / file_name
        path.write_text(text)
        return str(path)

    if name == "sqlite3":
        return RealProgram([program, "-batch", ":memory:", f".read {file('q.sql', SQL)}"],
                           least_output=200, output_function="fputs")
    if name == "lua5.4":
        return RealProgram([program, file("p.lua", LUA)], least_output=30)
    if name == "jq":
        return RealProgram([program, "-f", file("p.jq", JQ), file("in.json", _numbers())],
                           least_output=500)
    if name == "bash":
        return RealProgram([program, "--norc", file("p.sh", BASH)], least_output=100)
    if name == "git":
        return RealProgram([program, "-C", str(_repository(folder)), "--no-pager", "log", "-p",
                            "--stat", "--graph"], GIT_ENVIRONMENT, least_output=10000)
    raise AssertionError(f"nothing to do for {name}")


def _numbers() -> str:
    return "[" + ",".join(f'{{"id":{i},"tags":["a{i % 7}","b{i % 11}"],"v":{i * 37 % 101}}}'
                          for i in range(2000)) + "]"


def _repository(folder: Path) -> Path:
    repository = folder / "repository"

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(repository), *arguments], check=True, capture_output=True,
                       env={**os.environ, **GIT_ENVIRONMENT, "HOME": str(folder)})

    repository.mkdir()
    git("init", "-q")
    for i in range(20):
        for name in range(5):
            text = "".join(f"line {line} {line * (i + name) % 13}\n" for line in range(100))
            (repository / f"file{name}").write_text(text)
        git("add", ".")
        git("commit", "-q", "-m", f"change {i}")
    return repository
