# make help says what there is. Everything that is built or got lands in bin/,
# which may be removed at any time; hack/envtest/get.sh says what is kept
# between checkouts.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# What to test, and further flags for go test; the rows to measure.
PACKAGES ?= ./...
BENCH ?=
TESTFLAGS ?=

# As hack/envtest/get.sh builds Kubernetes: what is in both is compiled once.
go_build = CGO_ENABLED=0 go build -trimpath
# What a program of ours says by --version.
stamp = -X github.com/keepfresh/keepfresh/internal/version.stamped=$(VERSION)

# What the image is called, what it bears as its version, and what it runs on.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMAGE ?= ghcr.io/keepfresh/keepfresh:$(VERSION)
IMAGE_ARCHES ?= amd64 arm64
IMAGE_FLAGS ?=

.PHONY: help
help: ## Say what there is (the default)
	@echo 'Keepfresh: make <target>'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo 'Variables, in the environment or after make:'
	@echo '  DEMO_SECONDS        end the demo after this many seconds, and judge it'
	@echo '  IMAGE, VERSION      the name of the image, and the version that it bears'
	@echo '  IMAGE_ARCHES        what the image runs on (amd64 arm64)'
	@echo '  IMAGE_FLAGS         further flags for hack/image, such as --push'
	@echo '  PACKAGES, TESTFLAGS what to test (./...), and further flags for go test'
	@echo '  BENCH               the rows that make bench measures (all)'
	@echo '  SOAK_SECONDS        how long make soak goes on (600)'
	@echo '  KUBEBUILDER_ASSETS  your own folder of kube-apiserver, etcd and kubectl'
	@echo '  REDIS_SERVER        your own redis-server, 7.0 or later, or valkey-server'
	@echo '  PROMETHEUS_DIR      your own folder of prometheus and promtool'
	@echo '  KEEPFRESH_CACHE     where kube-apiserver and the like are kept (~/.cache/keepfresh)'

.PHONY: demo
demo: build ## Watch an operator keep a real Redis fresh through a real API server
	@assets=$$(hack/envtest/get.sh); redis=$$(hack/redis.sh); \
	$(go_build) -o bin/demo ./hack/demo; \
	KUBEBUILDER_ASSETS=$$assets REDIS_SERVER=$$redis KEEPFRESH_BIN=$(CURDIR)/bin/keepfresh \
		exec bin/demo

.PHONY: test
test: ## Run all tests, with a real API server, a real Redis and the race detector
	@PACKAGES='$(PACKAGES)' TESTFLAGS='$(TESTFLAGS)' hack/test.sh

.PHONY: e2e
e2e: ## Install the chart on a real cluster, and try what may go wrong (hack/e2e.sh)
	@hack/e2e.sh

.PHONY: observe
observe: build ## Check dashboards/ on a real Prometheus: cause each alert's fault, evaluate each panel
	@TESTFLAGS='$(TESTFLAGS)' hack/observe/observe.sh

.PHONY: bench
bench: ## Measure what it costs next to the bare work: bin/bench.tsv (a quarter of an hour)
	@BENCH='$(BENCH)' hack/bench.sh

.PHONY: soak
soak: ## Two engines for 10 minutes among faults; ends with what must not have happened
	@hack/soak.sh

.PHONY: lint
lint: ## Run golangci-lint (.golangci.yml)
	@lint=$$(hack/tools/get.sh golangci-lint); \
	for module in . hack/image hack/bench test/e2e; do \
		echo "lint: golangci-lint run in $$module"; \
		(cd $$module; $$lint run --allow-parallel-runners ./...); \
	done

.PHONY: vuln
vuln: ## Run govulncheck: which known vulnerabilities does the code reach?
	@hack/vuln.sh

.PHONY: lint-chart
lint-chart: build ## Check the Helm chart, also on a real API server
	@hack/chart/lint.sh

.PHONY: build
build: ## Build the operator: bin/keepfresh
	@echo 'build: bin/keepfresh'
	@$(go_build) -ldflags '$(stamp)' -o bin/keepfresh ./cmd/keepfresh

.PHONY: image
image: ## Build the operator's container image, with no engine: bin/image/keepfresh.tar
	@for arch in $(IMAGE_ARCHES); do \
		echo "image: bin/image/$$arch/keepfresh"; \
		GOOS=linux GOARCH=$$arch $(go_build) -o bin/image/$$arch/keepfresh \
			-ldflags '-s -w $(stamp)' ./cmd/keepfresh; \
	done; \
	CGO_ENABLED=0 go build -C hack/image -trimpath -buildvcs=false -o $(CURDIR)/bin/tools/image .; \
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || echo 0)} bin/tools/image \
		--name $(IMAGE) --output bin/image/keepfresh.tar \
		$(foreach arch,$(IMAGE_ARCHES),--binary bin/image/$(arch)/keepfresh:$(arch)) \
		--label org.opencontainers.image.title=keepfresh \
		--label org.opencontainers.image.description='Keeps Redis caches fresh, as CachePolicies declare' \
		--label org.opencontainers.image.source=https://github.com/keepfresh/keepfresh \
		--label org.opencontainers.image.licenses=Apache-2.0 \
		--label org.opencontainers.image.version=$(VERSION) \
		--label org.opencontainers.image.revision=$$(git rev-parse HEAD 2>/dev/null || echo unknown) $(IMAGE_FLAGS)

.PHONY: plugin
plugin: ## Build kubectl cachepolicy: bin/kubectl-cachepolicy (put bin/ on the PATH)
	@echo 'plugin: bin/kubectl-cachepolicy'
	@$(go_build) -ldflags '$(stamp)' \
		-o bin/kubectl-cachepolicy ./cmd/kubectl-cachepolicy
	@install -m 0755 cmd/kubectl-cachepolicy/kubectl_complete-cachepolicy bin/

.PHONY: krew
krew: ## Build the plugin's archives for PLATFORMS, and krew's manifest: bin/krew
	@VERSION=$(VERSION) hack/krew/build.sh

.PHONY: generate
generate: ## Generate the API types' deep copies, and docs/metrics.md
	@gen=$$(hack/tools/get.sh controller-gen); \
	echo 'generate: api/**/zz_generated.deepcopy.go, docs/metrics.md'; \
	$$gen object:headerFile=hack/boilerplate.go.txt paths=./api/...; \
	CGO_ENABLED=0 go run -trimpath ./hack/metrics docs/metrics.md

.PHONY: manifests
manifests: ## Generate the CRD and the operator's RBAC
	@gen=$$(hack/tools/get.sh controller-gen); \
	echo 'manifests: config/crd/bases, config/rbac/role.yaml'; \
	$$gen crd paths=./api/... output:crd:dir=config/crd/bases; \
	$$gen rbac:roleName=keepfresh-manager paths=./api/... paths=./controllers/... paths=./cmd/... \
		output:rbac:dir=config/rbac

.PHONY: chart
chart: ## Write the chart's copies of config/, its README, and dist/install.yaml
	@hack/chart/make.sh

.PHONY: verify
verify: ## Check that generated files and go.mod are up to date
	@hack/verify.sh

.PHONY: envtest
envtest: ## Get kube-apiserver, etcd and kubectl into bin/envtest: download, else build
	@hack/envtest/get.sh

.PHONY: clean
clean: ## Remove bin/ (the cache of kube-apiserver and the like stays)
	rm -rf bin
