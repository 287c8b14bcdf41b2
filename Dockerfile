# syntax=docker/dockerfile:1
# The operator's image, for those who build with a container engine:
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=v1.2.3 .
#
# make image gives the same layout without one. The build stage runs on the
# builder's own platform and cross-compiles, so nothing is emulated.
ARG GO_VERSION=1.26
FROM --platform=$BUILDPLATFORM docker.io/library/golang:${GO_VERSION} AS build
WORKDIR /src

# Modules change seldom: they keep a layer of their own.
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download

COPY . .
ARG TARGETOS TARGETARCH
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X github.com/keepfresh/keepfresh/internal/version.stamped=$VERSION" \
    -o /out/keepfresh ./cmd/keepfresh

# Pinned by tag: this has to be a digest (crane digest gcr.io/distroless/static-debian13:nonroot)
# before a release is built from it.
FROM gcr.io/distroless/static-debian13:nonroot
ARG VERSION=dev REVISION=unknown
LABEL org.opencontainers.image.title=keepfresh \
      org.opencontainers.image.description="Keeps Redis caches fresh, as CachePolicies declare" \
      org.opencontainers.image.source=https://github.com/keepfresh/keepfresh \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION
COPY --from=build /out/keepfresh /keepfresh
USER 65532:65532
ENTRYPOINT ["/keepfresh"]
