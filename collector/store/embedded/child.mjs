// The embedded ClickHouse server's process. libchdb.so exports the whole `clickhouse local` program as one C function;
// its arguments are ours (`--path`, `--config-file`, `--query "SYSTEM START LISTEN HTTP; …"`). It runs on a thread of its
// own, so that this event loop stays free to notice that the parent is gone. Plain JavaScript, because it is started as
// a file both from the sources and from the build.
import { createRequire } from 'node:module';
import path from 'node:path';
import { DataType, load, open } from 'ffi-rs';

const die = () => process.kill(process.pid, 'SIGKILL');

// The parent holds the other end of standard input: its end, however it comes, is ours. Parts are written atomically,
// so that a kill is as safe as any other stop.
process.stdin.resume().on('end', die).on('error', die);

const require = createRequire(import.meta.url);
const library = path.join(path.dirname(require.resolve('@chdb/lib-linux-x64-gnu')), 'libchdb.so');
open({ library: 'chdb', path: library });

const argv = ['clickhouse-local', ...process.argv.slice(2)];
await load({
  library: 'chdb',
  funcName: 'chdb_query_cmdline',
  retType: DataType.External,
  paramsType: [DataType.I32, DataType.StringArray],
  paramsValue: [argv.length, argv],
  runInNewThread: true,
});
process.exitCode = 1; // the script never ends by itself; why it did is on standard error
die();
