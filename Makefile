# Everything here needs Go, git and make, and a way to download Go modules. Nothing else.

STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK  = golang.org/x/vuln/cmd/govulncheck@v1.8.0
BENCHSTAT    = golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
MODULES      = . test/controlplane/build test/browser test/cyclonus test/certmanager test/reports test/sarif
PROGRAMS     = test/controlplane/build/helm test/controlplane/build/promtool
FUZZTIME     = 30s
COUNT        = 6

.DEFAULT_GOAL = help
.PHONY: help demo test run build control-plane generate manifests image verify tidy lint bench bench-webhook bench-memory oracle mutants fuzz new-rule clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## start a real API server with Portcullis before it, and watch it refuse, repair, explain and audit
	@go run ./test/demo

test: control-plane ## run all tests: unit, property, fixtures, and end to end against a real API server
	go vet ./...
	go test -timeout 20m ./...
	go test -C test/controlplane/build .
	go test -C test/cyclonus .
	go test -C test/sarif .
	hack/browser go test -C test/browser .
	@hack/left-out

run: ## answer reviews by the state that examples/cluster describes, on 127.0.0.1:9443
	@echo 'Try, in another terminal:'
	@echo '  curl -sk https://127.0.0.1:9443/validate -H "Content-Type: application/json" --data @examples/review.json'
	@go run ./cmd/portcullis serve --snapshot examples/cluster --bind-address 127.0.0.1:9443 --health-bind-address 127.0.0.1:8081 --metrics-bind-address 127.0.0.1:8080 --log-format text

build: ## build bin/portcullis
	CGO_ENABLED=0 go build -trimpath -o bin/portcullis ./cmd/portcullis

control-plane: ## build etcd, kube-apiserver, kube-controller-manager, kubectl, helm, promtool and cert-manager for the tests, once
	@go run -C test/controlplane/build .
	@go build -C test/certmanager -o $(CURDIR)/bin/certmanager .

generate: ## write what is made of the rules and of the configuration's types
	@go run ./hack/generate
	@go test ./pkg/config -run '^TestSchema' -update
	@$(MAKE) --no-print-directory manifests

manifests: control-plane ## write deploy/install.yaml and what else is made of the chart
	@go run ./hack/manifests

image: ## build the image, with docker or buildah: make image IMAGE=example.org/portcullis:v1 PLATFORM=linux/arm64
	@hack/image $(IMAGE)

verify: control-plane ## fail if something generated is stale, or a rule lacks documentation or fixtures
	@stale=0; go run ./hack/generate -verify || stale=1; go test ./pkg/config -run '^TestSchema' || stale=1; go run ./hack/manifests -verify || stale=1; exit $$stale

tidy: ## go mod tidy in all modules, as one follows from another
	@set -ex; for module in $(MODULES) $(PROGRAMS); do go -C $$module mod tidy; done

lint: ## gofmt, go vet, staticcheck, govulncheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	@set -ex; for module in $(MODULES); do go vet -C $$module ./...; go run -C $$module $(STATICCHECK) ./...; done
	hack/vulncheck $(GOVULNCHECK)

bench: ## run the benchmarks and print them as a table (COUNT runs of each)
	@mkdir -p bin
	go test -run '^$$' -bench . -benchmem -count $(COUNT) ./pkg/engine ./pkg/netset ./test/bench | tee bin/bench.txt
	go run $(BENCHSTAT) bin/bench.txt

bench-webhook: ## compare the webhook with two that do less, over HTTPS
	go run ./test/bench/webhook

bench-memory: ## measure the memory of 100,000 pods and 10,000 policies
	go run ./test/bench/memory

oracle: ## compare clusters drawn anew with the brute-force evaluator, a million connections, and 100,000 with Cyclonus
	go test ./test/oracle -timeout 60m -oracle.random -oracle.connections=1000000
	go test -C test/cyclonus . -v -timeout 60m -cyclonus.random -cyclonus.connections=100000

mutants: ## change the engine's core in small ways, and tell which changes no test notices (an hour; TARGET=netset for one part)
	go run ./hack/mutate $(if $(TARGET),-target $(TARGET))

fuzz: ## fuzz each target for FUZZTIME
	@set -e; for f in $$(git grep -lE '^func Fuzz' -- '*_test.go'); do \
	  for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\).*/\1/p' $$f); do \
	    echo "$$(dirname $$f) $$target"; go test ./$$(dirname $$f) -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME); \
	  done; done

new-rule: ## write the beginnings of a rule: make new-rule ID=open-door
	@go run ./hack/newrule $(ID)
	@$(MAKE) --no-print-directory generate

clean: ## remove what was built
	rm -rf bin
