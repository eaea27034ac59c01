// The generated module, which stands beside the worker's scripts in build/worker and exists only after a build.
declare const module: any;
export = module;
