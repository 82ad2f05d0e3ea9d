import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.security.Permission;
import java.security.Policy;
import java.security.ProtectionDomain;
import java.util.Base64;
import java.util.Queue;
import java.util.Scanner;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Runs the main methods of Kafka's tools, one after the other, in one virtual machine. A request is a line of words in base64: seconds that it may take, standard
 * input, class, arguments. The answer is a line: exit code, standard output, standard error. A tool's System.exit ends only the tool; what it writes after that
 * is dropped, because a real one would be gone; then its shutdown hooks are run.
 */
public class ToolHost {
    /** What a tool wants to have done when its process ends, as to close its client. */
    static final Queue<Runnable> HOOKS = new ConcurrentLinkedQueue<>();

    /** Thrown in place of the end of the process. */
    static final class Exit extends SecurityException {
        Exit() {
            super("exit");
        }
    }

    static final class NoExit extends SecurityManager {
        final AtomicReference<Integer> code = new AtomicReference<>();

        @Override
        public void checkExit(int status) {
            if (code.compareAndSet(null, status)) {
                System.setOut(new PrintStream(OutputStream.nullOutputStream()));
                System.setErr(new PrintStream(OutputStream.nullOutputStream()));
            }
            throw new Exit();
        }

        @Override
        public void checkPermission(Permission permission) {
        }
    }

    public static void main(String[] arguments) {
        PrintStream answers = System.out;
        InputStream requests = System.in;
        NoExit guard = new NoExit();
        // Everything but the end of the process is allowed.
        Policy.setPolicy(new Policy() {
            @Override
            public boolean implies(ProtectionDomain domain, Permission permission) {
                return true;
            }
        });
        System.setSecurityManager(guard);
        org.apache.kafka.common.utils.Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
        Scanner lines = new Scanner(requests, StandardCharsets.US_ASCII);
        while (lines.hasNextLine()) {
            String[] words = lines.nextLine().split(" ");
            for (int i = 0; i < words.length; i++)
                words[i] = new String(Base64.getDecoder().decode(words[i].substring(1)), StandardCharsets.UTF_8);
            answers.println(run(guard, words));
            answers.flush();
        }
        System.setSecurityManager(null);
        System.exit(0);
    }

    static String run(NoExit guard, String[] words) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        PrintStream oldOut = System.out;
        PrintStream oldErr = System.err;
        InputStream oldIn = System.in;
        guard.code.set(null);
        PrintStream toolOut = new PrintStream(out, true, StandardCharsets.UTF_8);
        PrintStream toolErr = new PrintStream(err, true, StandardCharsets.UTF_8);
        System.setOut(toolOut);
        System.setErr(toolErr);
        System.setIn(new ByteArrayInputStream(words[1].getBytes(StandardCharsets.UTF_8)));
        String[] arguments = java.util.Arrays.copyOfRange(words, 3, words.length);
        AtomicReference<Throwable> thrown = new AtomicReference<>();
        Thread thread = new Thread(() -> {
            try {
                Class.forName(words[2]).getMethod("main", String[].class).invoke(null, (Object) arguments);
            } catch (InvocationTargetException e) {
                thrown.set(e.getCause());
            } catch (Throwable e) {
                thrown.set(e);
            }
        });
        thread.start();
        int code = 0;
        try {
            thread.join(Long.parseLong(words[0]) * 1000);
            if (thread.isAlive()) {
                thread.interrupt();
                thread.join(5000);
                code = 124;
            }
        } catch (InterruptedException e) {
            code = 124;
        }
        Throwable end = thrown.get();
        if (end != null && !(end instanceof Exit) && code == 0) {
            System.err.println("Exception in thread \"main\" " + end);
            code = 1;
        }
        if (guard.code.get() != null && code != 124)
            code = guard.code.get();
        System.setOut(toolOut);
        System.setErr(toolErr);
        for (Runnable hook = HOOKS.poll(); hook != null; hook = HOOKS.poll()) {
            try {
                hook.run();
            } catch (RuntimeException e) {
                System.err.println(e);
            }
        }
        System.setOut(oldOut);
        System.setErr(oldErr);
        System.setIn(oldIn);
        return code + " " + word(out) + " " + word(err);
    }

    /** Never empty, so that words can be told apart. */
    static String word(ByteArrayOutputStream bytes) {
        return "=" + Base64.getEncoder().encodeToString(bytes.toByteArray());
    }
}
