/**
 * Several processes may want it at once (tests do): one builds, the others wait, and what is served is replaced in
 * one step.
 * @throws Error when the build fails; its messages are on stderr
 */
export declare function buildDashboard(): void;
//# sourceMappingURL=build-dashboard.d.ts.map
