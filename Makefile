# What a newcomer runs. `make` alone lists it.

CARGO ?= cargo
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help demo test test-clients lint lint-docker soak bench fhir-tables docs clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 16

demo: ## Export synthetic patients from a database made for it
	@scripts/postgres.sh >/dev/null
	$(CARGO) run --locked --release -- demo

test: ## Run every test; PostgreSQL and zstd are installed where they are missing
	@scripts/postgres.sh >/dev/null
	@command -v zstd >/dev/null || scripts/install.sh zstd
	$(CARGO) test --locked

test-clients: ## Run published bulk clients against the service; BULK_CLIENTS names the program that drives them
	@test -f "$(BULK_CLIENTS)" || { echo "set BULK_CLIENTS to a program that takes --base URL --group ID --client-id ID --jwks FILE --work DIR"; exit 1; }
	@command -v zstd >/dev/null || scripts/install.sh zstd
	$(CARGO) build --locked --release
	scripts/test-clients.sh "$(BULK_CLIENTS)"

lint: ## Check form, lints, documentation, licences and sources
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps
	$(CARGO) deny --locked check bans licenses sources

lint-docker: ## Lint the container files, where hadolint is installed
	@command -v hadolint >/dev/null || { echo "hadolint is not installed"; exit 1; }
	hadolint docker/Dockerfile

soak: ## Run the long tests
	@scripts/postgres.sh >/dev/null
	$(CARGO) test --locked --release --test main soak -- --ignored --nocapture
	SMELT_KILLS=200 $(CARGO) test --locked --release --test main kills_break -- --nocapture

bench: ## Run the benchmarks
	@scripts/postgres.sh >/dev/null
	@command -v zstd >/dev/null || scripts/install.sh zstd
	$(CARGO) bench --locked --bench encode --bench e2e

fhir-tables: ## Write the FHIR tables anew from the official packages in FHIR_PACKAGES
	@test -d "$(FHIR_PACKAGES)" || { echo "set FHIR_PACKAGES to a folder with the packages named in src/fhir/generate.py (from packages.fhir.org)"; exit 1; }
	python3 src/fhir/generate.py "$(FHIR_PACKAGES)"

docs: ## Write the generated pages anew, and the book where mdbook is installed
	BLESS=1 $(CARGO) test --locked --test main -- tidy::generated docs:: conformance::
	$(CARGO) doc --locked --no-deps
	@if command -v mdbook >/dev/null && test -f docs/book.toml; then mdbook build docs; fi

clean: ## Remove what was built
	$(CARGO) clean
