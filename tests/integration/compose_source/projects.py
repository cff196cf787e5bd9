"""Compose projects that together use every way of writing that a Trade2025 tree may hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """A project: its files, how it is called, and (for a broken one) what our message must say."""

    name: str
    tree: dict[str, str]
    files: tuple[str, ...] = ("docker-compose.core.yml",)
    environment: dict[str, str] = field(default_factory=dict)
    profiles: tuple[str, ...] = ()
    error: str = ""

    def write(self, root: Path) -> None:
        """Lay the files out below `root`."""
        for name, text in self.tree.items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="")


def _one(name: str, text: str, **more: object) -> Sample:
    return Sample(name, {"docker-compose.core.yml": text, **more.pop("tree", {})}, **more)  # type: ignore[arg-type, dict-item]


PROJECTS = [
    _one(
        "windows paths and short syntax",
        """
version: '3.8'
services:
  nats:
    image: nats:2.10-alpine
    command: ["-js", "-sd", "/data", "-m", "8222"]
    ports: ["4222:4222", "127.0.0.1:8222:8222", "9000-9002:7000-7002/udp", "6222", "[::1]:7422:7422", "127.0.0.1::80"]
    volumes:
      - C:/trade2025/trading/nats:/data
      - C:\\trade2025\\trading\\config:/etc/nats:ro
      - ./rel:/rel:rw,z
      - ../up:/up
      - cache:/cache
      - /anonymous
      - /abs/path:/abs
    networks: [lowlatency]
    environment:
      - A=1
      - B
      - "C=x=y"
      - EMPTY=
    healthcheck:
      test: wget -q -O - http://localhost:8222/healthz
      interval: 1m30s
      timeout: 3s
      retries: 3
      start_period: 500ms
    restart: unless-stopped
    labels: ["com.trade2025.service=nats", "bare"]
networks:
  lowlatency: {name: trade2025-lowlatency, external: true}
volumes: {cache: {}}
""",
        environment={"B": "from-shell"},
    ),
    _one(
        "long syntax",
        """
services:
  valkey:
    image: valkey/valkey:8-alpine
    user: "999:1000"
    ports:
      - {target: 6379, published: 6379, host_ip: 127.0.0.1, protocol: tcp, mode: host}
      - {target: 6380, published: "7000-7001"}
      - {target: 6381, protocol: udp}
    volumes:
      - {type: bind, source: C:/trade2025/trading/valkey, target: /data, read_only: true}
      - {type: bind, source: ./conf, target: /conf}
      - {type: tmpfs, target: /tmp}
      - {type: volume, source: named, target: /named}
      - {type: volume, target: /anonymous}
    environment: {A: 1, B: true, C: 1.50, D: null, E: "yes", F: yes, G: 0x10, H: 017, I: 1e3, J: 22:22, K: ~, L: 1_000}
    healthcheck: {test: [CMD, valkey-cli, ping], interval: 10s}
    deploy: {resources: {limits: {memory: 1.5g, cpus: "0.75", pids: 100}}}
    ulimits: {nofile: {soft: 1000, hard: 2000}, nproc: 100}
    depends_on:
      other: {condition: service_started}
    networks:
      backend: {aliases: [cache]}
  other:
    image: x
    mem_limit: 512m
    cpus: 1.5
    pids_limit: 64
    privileged: true
    stop_signal: SIGINT
    stop_grace_period: 1m30s
    healthcheck: {disable: true}
  third:
    image: y:1
    healthcheck: {test: NONE}
    network_mode: host
    read_only: true
    cap_drop: [ALL]
    cap_add: [CHOWN, NET_BIND_SERVICE]
    security_opt: ["no-new-privileges:true"]
volumes: {named: {driver: local}}
networks: {backend: {ipam: {config: [{subnet: 172.30.0.0/16}]}}}
""",
        environment={"D": "shell-d"},
    ),
    _one(
        "anchors and merge keys",
        """
x-logging: &logging {driver: json-file}
x-env: &env {A: "1", B: "2"}
x-more: &more {B: "3", C: "4"}
x-base: &base
  restart: unless-stopped
  logging: *logging
  environment: &base_env
    <<: [*env, *more]
    D: "5"
services:
  one:
    <<: *base
    image: one:1
  two:
    image: two:1
    environment:
      B: mine
      <<: [*base_env, {E: e}]
    <<: *base
    command: &cmd [a, b]
  three: {image: three:1, command: *cmd}
""",
    ),
    _one(
        "variables",
        """
services:
  app:
    image: "app:${TAG:-1.0}"
    container_name: ${PREFIX-none}app
    command: echo "$$HOME ${EMPTY:-was empty}" ${EMPTY-kept}x ${SET:+there} ${UNSET:+no}y ${NEST:-${DEEP:-deep${TAG}}}
    ports: ["${PORT}:80"]
    environment:
      A: ${SET}
      B: "pre${SET}post $SET ${QUOTED}"
      C: ${SHELL_WINS}
      D: "${MULTI}"
      E: "$${literal}"
      F: ${EXPANDED}
      G: ${SINGLE}
      H: ${HASH}
      I: ${NEVER_SET:-}
      J: "lone $ and $1 and $(x) and $$$ and a$"
      K: ${NEVER_SET:-a{b}c}
    volumes: ["${DATA_DIR:-./data}:/data", "${WIN:-C:/trade2025/x}:/w"]
""",
        tree={
            ".env": '# comment\nTAG=2.0\nPORT=8080\nSET=s\nEMPTY=\nQUOTED="a \\"b\\" c"   # after\nSHELL_WINS=file\n'
            "export MULTI=\"line1\nline2\"\nEXPANDED=${SET}-${NOPE:-d}\nSINGLE='$SET raw'\nHASH=a#b # c\n\nCOLON: v\r\n"
        },
        environment={"SHELL_WINS": "shell"},
    ),
    Sample(
        "several files",
        {
            "docker-compose.core.yml": """
services:
  db:
    image: db:1
    command: [one, two]
    entrypoint: /a b
    ports: ["1:1", "2:2"]
    environment: {A: "1", B: "1"}
    volumes: ["./a:/data", "./b:/other"]
    networks: [one]
    healthcheck: {test: [CMD, x], interval: 5s, retries: 9}
    labels: {l: "1"}
    depends_on: [web]
    deploy: {resources: {limits: {memory: 100m}}}
    tmpfs: /run
  web: {image: web:1, build: ./web}
networks: {one: {}}
""",
            "sub/override.yml": """
services:
  db:
    image: db:2
    command: three
    ports: ["2:2", "3:3"]
    environment: ["B=2", "C=3"]
    volumes: ["./c:/data:ro", "vol:/vol"]
    networks: {two: {aliases: [x]}}
    healthcheck: {test: new, interval: 7s}
    labels: ["l=2", "m=3"]
    depends_on: {cache: {condition: service_started}}
    deploy: {resources: {limits: {cpus: "2"}}}
    tmpfs: [/tmp]
  web: {build: {dockerfile: Other, args: {X: 1}}}
  cache: {image: "cache:1"}
networks: {two: {}}
volumes: {vol: {}}
""",
        },
        files=("docker-compose.core.yml", "sub/override.yml"),
    ),
    Sample(
        "extends",
        {
            "docker-compose.core.yml": """
services:
  base:
    image: base:1
    environment: {A: "1", B: "1"}
    ports: ["1:1"]
    volumes: ["./here:/h"]
    command: [run]
  child:
    extends: base
    environment: {B: "2"}
    ports: ["2:2"]
  grand:
    extends: {service: child}
    image: grand:1
  far:
    extends: {file: common/common.yml, service: shared}
    environment: ["Z=1"]
    volumes: ["./mine:/mine"]
""",
            "common/common.yml": """
services:
  shared:
    extends: {file: deeper/deep.yml, service: root}
    build: ./ctx
    volumes: ["./there:/t"]
    env_file: vars.env
  unused: {image: unused}
""",
            "common/vars.env": "FROM_FILE=1\nZ=file\n",
            "common/deeper/deep.yml": """
services:
  root: {image: "r:1", volumes: ["../x:/x", "./y:/y"], restart: always}
""",
        },
    ),
    Sample(
        "include",
        {
            "docker-compose.core.yml": """
include:
  - data/data.yml
  - path: [apps/a.yml, apps/b.yml]
    project_directory: .
    env_file: apps/apps.env
services:
  top: {image: top:1, depends_on: [store], networks: [shared]}
""",
            "data/data.yml": """
services:
  store: {image: "store:${VERSION}", volumes: ["./files:/files"], networks: [shared], environment: {W: "${WHO}"}}
networks: {shared: {name: trade2025-backend}}
include: [inner/inner.yml]
""",
            "data/.env": "VERSION=5\nWHO=data\n",
            "data/inner/inner.yml": "services:\n  inner: {image: 'inner:1', build: .}\n",
            "apps/a.yml": "services:\n  app: {image: 'app:${V}', volumes: ['./d:/d']}\n",
            "apps/b.yml": "services:\n  app: {environment: {X: '${V}'}}\n",
            "apps/apps.env": "V=9\n",
            ".env": "WHO=top\n",
        },
    ),
    _one(
        "profiles",
        """
services:
  always: {image: "a:1"}
  debug: {image: "b:1", profiles: [debug, test]}
  other: {image: "c:1", profiles: [other]}
""",
        profiles=("test",),
    ),
    _one(
        "profiles from .env",
        "services:\n  always: {image: 'a:1'}\n  debug: {image: 'b:1', profiles: [debug]}\n",
        tree={".env": "COMPOSE_PROFILES=debug,x\n"},
    ),
    _one(
        "env files",
        """
services:
  app:
    image: a:1
    env_file: [one.env, two.env]
    environment: {C: inline, F: }
""",
        tree={"one.env": "A=1\nB=1\nC=1\n", "two.env": "B=2\nD=${A}-${HOST}\nE='q'\n"},
        environment={"HOST": "h"},
    ),
    Sample(
        "reset and override tags",
        {
            "docker-compose.core.yml": """
services:
  a: {image: "a:1", ports: ["1:1"], environment: {A: 1}, command: x}
""",
            "o.yml": "services: {a: {ports: !reset [], environment: !override {B: '2'}, command: !reset null}}\n",
        },
        files=("docker-compose.core.yml", "o.yml"),
    ),
    _one(
        "crlf, byte order mark and two documents",
        "\ufeffservices:\n  a:\n    image: a:1\n    command: >\n      one\n      two\n"
        "---\nservices:\n  a:\n    image: a:2\n".replace("\n", "\r\n"),
    ),
]

BROKEN = [
    _one("tab", "services:\n\ta: {}\n", error=r"docker-compose\.core\.yml:2:1: not valid YAML"),
    _one(
        "duplicate key", "services:\n  a: {image: x}\n  a: {image: y}\n", error=r"core\.yml:3: the key `a` stands twice"
    ),
    _one(
        "extends circle",
        "services:\n  a: {extends: b}\n  b: {extends: {service: a}}\n",
        error=r"core\.yml:[23]: the services extend each other in a circle: a -> b -> a",
    ),
    _one("extends nothing", "services:\n  a: {extends: b}\n", error=r"core\.yml:2: service a extends b, not found in"),
    _one(
        "extends file",
        "services:\n  a: {extends: {file: no.yml, service: b}}\n",
        error=r"core\.yml:2: `extends` names no\.yml",
    ),
    _one(
        "include circle",
        "include: [b.yml]\nservices: {}\n",
        tree={"b.yml": "include: [docker-compose.core.yml]\nservices: {}\n"},
        error=r"b\.yml:1: the files include each other in a circle: docker-compose\.core\.yml -> b\.yml -> docker",
    ),
    _one("include missing", "include: [b.yml]\n", error=r"b\.yml: there is no such file"),
    _one(
        "include conflict",
        "include: [b.yml]\nservices:\n  a: {image: 'x:1'}\n",
        tree={"b.yml": "services:\n  a: {image: 'y:1'}\n"},
        error=r"core\.yml:1: services\.a is defined here \(docker-compose\.core\.yml:3\) and differently",
    ),
    _one(
        "required variable",
        "services:\n  a: {image: '${T:?set T}'}\n",
        error=r"core\.yml:2: the variable T must be set: set T",
    ),
    _one("open brace", "services:\n  a: {image: x, command: '${A'}\n", error=r"core\.yml:2: .*brace is not closed"),
    _one("no variable name", "services:\n  a: {image: x, command: '${1}'}\n", error=r"core\.yml:2: .*no variable name"),
    _one(
        "bad operator", "services:\n  a: {image: x, command: '${A B}'}\n", error=r"core\.yml:2: .*after the name only"
    ),
    _one("services is a list", "services: [a]\n", error=r"core\.yml:1: `services` must be a mapping"),
    _one("service is text", "services: {a: b}\n", error=r"core\.yml:1: service a must be a mapping"),
    _one(
        "port is no port", "services:\n  a: {image: x, ports: ['x:1']}\n", error=r"core\.yml:2: .*`x` is no port number"
    ),
    _one(
        "port ranges differ",
        "services:\n  a: {image: x, ports: ['1-2:1-3']}\n",
        error=r"core\.yml:2: .*differ in length",
    ),
    _one(
        "volume has no target",
        "services:\n  a: {image: x, volumes: ['./a:']}\n",
        error=r"core\.yml:2: .*nothing stands between",
    ),
    _one(
        "bad duration",
        "services:\n  a: {image: x, healthcheck: {test: x, interval: 3 days}}\n",
        error=r"core\.yml:2: .*no duration",
    ),
    _one("bad size", "services:\n  a: {image: x, mem_limit: lots}\n", error=r"core\.yml:2: `lots` is no size"),
    _one(
        "bad .env",
        "services: {a: {image: x}}\n",
        tree={".env": "A=1\nnot a line\n"},
        error=r"\.env:2: not a line of the form",
    ),
    _one("empty", "", error=r"core\.yml: the file is empty"),
    Sample("missing", {"other.yml": ""}, error=r"docker-compose\.core\.yml: there is no such file"),
]
