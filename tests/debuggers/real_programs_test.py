# SPDX-License-Identifier: Apache-2.0
"""Programs from Debian's packages, tracked from their first instruction to _exit: the ledger is what
the allocator's structures say, and the program's output and status are those of a run alone."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import harness

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


class RealPrograms(harness.DebuggerTest):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(tempfile.mkdtemp(dir=harness.BUILD))
        self.addCleanup(shutil.rmtree, self.folder)

    def file(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def play(self, *command: str, environment: dict[str, str] | None = None,
             least_output: int = 1, output_function: str = "write") -> None:
        """Looked at twice: when the first output is made, and when nothing but _exit is left."""
        program = shutil.which(command[0])
        self.assertIsNotNone(program, f"{command[0]} is not installed")
        alone = harness.run_plain(program, *command[1:], environment=environment)
        self.assertGreaterEqual(len(alone.output), least_output, alone.errors)
        session = harness.Session(program, *command[1:], environment=environment)
        session.stop_at(output_function, once=True)
        session.stop_at("_exit")
        session.run()
        at_work = session.ledger(), session.heap_walk()
        session.resume()
        at_end = session.ledger(), session.heap_walk()
        session.resume()
        outcome = session.execute(timeout=300)
        self.assertEqual(outcome.output, alone.output)
        self.assertEqual(outcome.errors, alone.errors)
        self.assertRegex(outcome.text, session.debugger.ended(alone.status))
        for where, (report, walk), least in (("at work", at_work, 100), ("at its end", at_end, 0)):
            self.assertEqual(report.value["coverage"]["dropped"], 0)
            self.assert_ledger_equals_walk(report.value, walk.value, f"{command[0]} {where}", least)

    def test_sqlite3(self) -> None:
        self.play("sqlite3", "-batch", ":memory:", f".read {self.file('q.sql', SQL)}",
                  least_output=200, output_function="fputs")

    def test_lua(self) -> None:
        self.play("lua5.4", self.file("p.lua", LUA), least_output=30)

    def test_jq(self) -> None:
        numbers = ",".join(f'{{"id":{i},"tags":["a{i % 7}","b{i % 11}"],"v":{i * 37 % 101}}}'
                           for i in range(2000))
        program = ("group_by(.v % 10) | map({k: (.[0].v % 10), n: length, s: (map(.v) | add),"
                   " t: (map(.tags[]) | unique | join(\"-\"))})")
        self.play("jq", "-f", self.file("p.jq", program), self.file("in.json", f"[{numbers}]"),
                  least_output=500)

    def test_bash(self) -> None:
        self.play("bash", "--norc", self.file("p.sh", BASH), least_output=100)

    def test_git(self) -> None:
        environment = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b",
                       "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@b",
                       "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z",
                       "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z", "GIT_PAGER": "cat"}
        repository = self.folder / "repository"

        def git(*arguments: str) -> None:
            subprocess.run(["git", "-C", str(repository), *arguments], check=True,
                           capture_output=True, env={**os.environ, **environment,
                                                     "HOME": str(self.folder)})

        repository.mkdir()
        git("init", "-q")
        for i in range(20):
            for name in range(5):
                text = "".join(f"line {line} {line * (i + name) % 13}\n" for line in range(100))
                (repository / f"file{name}").write_text(text)
            git("add", ".")
            git("commit", "-q", "-m", f"change {i}")
        self.play("git", "-C", str(repository), "--no-pager", "log", "-p", "--stat", "--graph",
                  environment=environment, least_output=10000)


if __name__ == "__main__":
    harness.main()
